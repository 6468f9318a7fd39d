//! The tasks of a process and its orderly end.
//!
//! No task is detached: the first one to end ends the process, and a panic counts as an end.

use std::{
    any::Any, error::Error as StdError, future::pending, panic::AssertUnwindSafe, time::Duration,
};

use futures::FutureExt;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tracing::{info, warn};

use crate::Error;

/// How long [`Tasks::run`] usually waits for tasks to finish.
pub const GRACE: Duration = Duration::from_secs(30);

/// Tells tasks that the process is to end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// The other end of a [`Shutdown`].
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

impl Shutdown {
    /// A token and what sets it off; [`Tasks`] makes its own.
    #[must_use]
    pub fn pair() -> (Stop, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stop(sender), Self(receiver))
    }

    /// A token that is never set off.
    #[must_use]
    pub fn never() -> Self {
        Self::pair().1
    }

    /// Waits until the process is to end.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stopped| *stopped).await.is_err() {
            // Nobody is left who could set it off.
            pending::<()>().await;
        }
    }

    /// Whether the process is to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }
}

impl Stop {
    /// Sets all tokens off.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

/// What a task returns: nothing, or a result.
#[derive(Debug)]
pub struct End(Result<(), Box<dyn StdError + Send + Sync>>);

impl From<()> for End {
    fn from((): ()) -> Self {
        Self(Ok(()))
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<Result<(), E>> for End {
    fn from(result: Result<(), E>) -> Self {
        Self(result.map_err(Into::into))
    }
}

/// All tasks of a process.
#[derive(Debug)]
pub struct Tasks {
    leaving: JoinSet<Ended>,
    background: JoinSet<Ended>,
    stop: Stop,
    shutdown: Shutdown,
    terminate: Signal,
    interrupt: Signal,
}

#[derive(Debug)]
struct Ended {
    task: &'static str,
    result: Result<(), Error>,
}

impl Tasks {
    /// Takes over SIGTERM and SIGINT. Make it early: the first process of a container has no
    /// default handlers, so that a signal that comes before this is lost.
    ///
    /// # Errors
    /// If the signals cannot be listened to.
    pub fn new() -> Result<Self, Error> {
        let (stop, shutdown) = Shutdown::pair();
        Ok(Self {
            leaving: JoinSet::new(),
            background: JoinSet::new(),
            stop,
            shutdown,
            terminate: signal(SignalKind::terminate()).map_err(Error::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Error::Signals)?,
        })
    }

    /// The token that is set off when the process is to end.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Starts a task that watches the [`Shutdown`] token and then comes to its own end,
    /// for which [`Tasks::run`] waits: a server, a controller.
    pub fn spawn<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output: Into<End>> + Send + 'static,
    {
        self.leaving.spawn(named(name, future));
    }

    /// Starts a task that serves the others to the very end and is then dropped: a watch, the
    /// admin port.
    pub fn background<F>(&mut self, name: &'static str, future: F)
    where
        F: Future<Output: Into<End>> + Send + 'static,
    {
        self.background.spawn(named(name, future));
    }

    /// Runs until a signal arrives or the first task ends. After a signal it sets the
    /// [`Shutdown`] token off and waits, at most for `grace` or until a second signal, for the
    /// tasks of [`Tasks::spawn`]. All tasks are gone when it returns.
    ///
    /// # Errors
    /// If a task ended before it was told to, failed or panicked; the error names it.
    pub async fn run(mut self, grace: Duration) -> Result<(), Error> {
        tokio::select! {
            ended = next(&mut self.leaving) => return Err(ended.unasked()),
            ended = next(&mut self.background) => return Err(ended.unasked()),
            _ = self.terminate.recv() => info!("SIGTERM: shutting down"),
            _ = self.interrupt.recv() => info!("SIGINT: shutting down"),
        }
        self.stop.now();
        tokio::select! {
            result = finish(&mut self.leaving) => return result,
            () = sleep(grace) => {
                warn!(tasks = self.leaving.len(), "tasks did not finish in time and are dropped");
            }
            _ = self.terminate.recv() => warn!("second SIGTERM: not waiting any longer"),
            _ = self.interrupt.recv() => warn!("second SIGINT: not waiting any longer"),
        }
        Ok(())
    }
}

impl Ended {
    fn unasked(self) -> Error {
        let task = self.task;
        self.result.err().unwrap_or(Error::TaskEnded { task })
    }
}

async fn named<F: Future<Output: Into<End>>>(task: &'static str, future: F) -> Ended {
    let result = match AssertUnwindSafe(future).catch_unwind().await {
        Ok(end) => {
            let End(result) = end.into();
            result.map_err(|source| Error::TaskFailed { task, source })
        }
        Err(panic) => Err(Error::TaskPanicked {
            task,
            message: panic_message(panic.as_ref()),
        }),
    };
    Ended { task, result }
}

/// The next task to end; for ever, if there is none.
async fn next(tasks: &mut JoinSet<Ended>) -> Ended {
    match tasks.join_next().await {
        Some(Ok(ended)) => ended,
        // Panics are caught above and nobody aborts a single task.
        Some(Err(_)) | None => pending().await,
    }
}

/// Waits for all tasks; the first error counts.
async fn finish(tasks: &mut JoinSet<Ended>) -> Result<(), Error> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        if let Ok(ended) = ended {
            info!(
                task = ended.task,
                ok = ended.result.is_ok(),
                "task finished"
            );
            result = result.and(ended.result);
        }
    }
    result
}

/// What a panic was raised with.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    message.unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::process;

    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// A signal reaches all tests of this process, so that those with [`Tasks`] take turns.
    static SIGNALS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

    fn chain(error: &dyn StdError) -> String {
        match error.source() {
            Some(source) => format!("{error}: {}", chain(source)),
            None => error.to_string(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_task_to_end_ends_the_process_and_is_named() {
        let _turn = SIGNALS.lock().await;
        async fn check<F: Future<Output: Into<End>> + Send + 'static>(future: F, expected: &str) {
            let mut tasks = Tasks::new().unwrap();
            tasks.background("other", pending::<()>());
            tasks.spawn("mine", future);
            let error = tasks.run(SECOND).await.unwrap_err();
            assert_eq!(chain(&error), expected);
        }
        check(async {}, "task \"mine\" ended, but the process needs it").await;
        check(
            async { Err::<(), _>("no disk") },
            "task \"mine\" failed: no disk",
        )
        .await;
        async fn bug(message: String) {
            panic!("{message}")
        }
        check(bug("bug 7".to_owned()), "task \"mine\" panicked: bug 7").await;
    }

    #[tokio::test]
    async fn sigterm_ends_orderly_within_the_grace_period() {
        let _turn = SIGNALS.lock().await;
        fn terminate() {
            let kill = process::Command::new("kill")
                .arg(process::id().to_string())
                .status();
            assert!(kill.unwrap().success());
        }

        let mut tasks = Tasks::new().unwrap();
        let shutdown = tasks.shutdown();
        tasks.background("watch", pending::<()>());
        tasks.spawn("server", async move { shutdown.cancelled().await });
        terminate();
        tasks.run(Duration::MAX).await.unwrap();

        let mut tasks = Tasks::new().unwrap();
        let shutdown = tasks.shutdown();
        tasks.spawn("server", async move {
            shutdown.cancelled().await;
            Err("cannot flush")
        });
        terminate();
        let error = tasks.run(Duration::MAX).await.unwrap_err();
        assert_eq!(chain(&error), "task \"server\" failed: cannot flush");

        let mut tasks = Tasks::new().unwrap();
        tasks.spawn("stuck", pending::<()>());
        terminate();
        let started = Instant::now();
        tasks.run(Duration::from_millis(20)).await.unwrap();
        assert!(started.elapsed() < SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_without_its_other_end_is_never_set_off() {
        let never = Shutdown::never();
        assert!(
            tokio::time::timeout(SECOND, never.cancelled())
                .await
                .is_err()
        );
        let (stop, shutdown) = Shutdown::pair();
        assert!(!shutdown.is_cancelled());
        stop.now();
        drop(stop);
        shutdown.cancelled().await;
        assert!(shutdown.is_cancelled());
    }
}
