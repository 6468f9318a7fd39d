use std::{collections::VecDeque, convert::Infallible, future::pending, sync::Mutex};

use http::{Request, Response};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Client,
    client::Body,
    core::{ApiResource, GroupVersionKind, Object},
};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::*;
use crate::{Health, Shutdown};

/// An API server that gives its answers one after the other, and then none.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    /// What was asked for, and when.
    requests: Vec<(String, Instant)>,
}

enum Answer {
    Text(u16, String),
    Hangs,
}

impl Cluster {
    fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path_and_query().unwrap().to_string();
            let mut script = cluster.0.lock().unwrap();
            script.requests.push((path, Instant::now()));
            let answer = script.answers.pop_front();
            async move {
                match answer {
                    Some(Answer::Text(code, text)) => {
                        let response = Response::builder().status(code);
                        Ok::<_, Infallible>(response.body(Body::from(text.into_bytes())).unwrap())
                    }
                    Some(Answer::Hangs) | None => pending().await,
                }
            }
        });
        Client::new(service, "default")
    }

    fn then(self, code: u16, text: impl ToString) -> Self {
        let answer = Answer::Text(code, text.to_string());
        self.0.lock().unwrap().answers.push_back(answer);
        self
    }

    fn then_hangs(self) -> Self {
        self.0.lock().unwrap().answers.push_back(Answer::Hangs);
        self
    }

    fn then_lists(self, items: Value) -> Self {
        let metadata = json!({"resourceVersion": "10"});
        let list = json!({
            "kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items,
        });
        self.then(200, list)
    }

    /// One watch, which the server then ends.
    fn then_watches(self, events: &[(&str, Value)]) -> Self {
        let lines = events.iter().map(|(kind, object)| {
            let event = json!({"type": kind, "object": object});
            format!("{event}\n")
        });
        self.then(200, lines.collect::<String>())
    }

    fn then_refuses(self, code: u16, reason: &str) -> Self {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no", "reason": reason, "code": code,
        });
        self.then(code, status)
    }

    fn requests(&self) -> Vec<(String, Instant)> {
        self.0.lock().unwrap().requests.clone()
    }
}

fn node(name: &str, kernel: &str) -> Value {
    json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {
            "name": name, "resourceVersion": "11", "labels": {"kernel": kernel},
            "managedFields": [{"manager": "kubelet"}],
        },
        "spec": {"podCIDR": "10.0.0.0/24"},
    })
}

fn unreadable(name: &str) -> Value {
    let mut node = node(name, "?");
    node["spec"] = json!("not an object");
    node
}

fn gone() -> (&'static str, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "too old", "reason": "Expired", "code": 410,
    });
    ("ERROR", status)
}

struct Seen {
    /// Name and label of each object; nothing before the sync.
    objects: Option<Vec<String>>,
    readyz: String,
    objects_in_full: Vec<Arc<Node>>,
}

/// Runs a watch of nodes until its requests are all answered, and an hour more.
async fn run(cluster: &Cluster) -> Seen {
    run_for(cluster, Duration::from_secs(3600)).await
}

async fn run_for(cluster: &Cluster, time: Duration) -> Seen {
    let health = Health::new(Shutdown::never());
    let (watched, work) = watch(
        Api::all(cluster.client()),
        watcher::Config::default(),
        |node: &mut Node| node.spec = None,
        health.condition("watch"),
        Changed::default(),
    );
    assert!(watched.state().is_none());
    assert_eq!(health.report().1, "[-]watch: listing nodes\n");
    let _ = timeout(time, work).await;
    let nodes = watched.state();
    let objects = nodes.as_ref().map(|nodes| {
        let mut objects: Vec<_> = nodes
            .iter()
            .map(|node| format!("{} {}", node.name_any(), node.labels()["kernel"]))
            .collect();
        objects.sort();
        objects
    });
    Seen {
        objects,
        readyz: health.report().1,
        objects_in_full: nodes.unwrap_or_default(),
    }
}

#[track_caller]
fn check(seen: &Seen, objects: &[&str], readyz: &str) {
    assert_eq!(seen.objects.as_deref().expect("it has synced"), objects);
    assert_eq!(seen.readyz, readyz);
}

#[tokio::test(start_paused = true)]
async fn objects_are_listed_then_watched_and_pruned() {
    let cluster = Cluster::default()
        .then_lists(json!([node("a", "5.14"), node("b", "5.14")]))
        .then_watches(&[
            ("ADDED", node("c", "6.1")),
            ("MODIFIED", node("a", "6.1")),
            ("DELETED", node("b", "5.14")),
        ]);
    let seen = run(&cluster).await;
    check(&seen, &["a 6.1", "c 6.1"], "[+]watch\n");
    for node in &seen.objects_in_full {
        assert_eq!(node.spec, None);
        assert_eq!(node.metadata.managed_fields, None);
    }
    let requests = cluster.requests();
    assert!(
        requests[0].0.starts_with("/api/v1/nodes?&limit=500"),
        "{requests:?}"
    );
    assert!(requests[1].0.contains("timeoutSeconds=120"), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_object_stops_nothing_and_keeps_its_last_version() {
    let good = || json!([node("a", "5.14"), node("b", "5.14"), node("c", "5.14")]);
    let list = Cluster::default().then_lists(json!([unreadable("x"), node("a", "5.14")]));
    check(&run(&list).await, &["a 5.14"], "[+]watch\n");

    let event = Cluster::default().then_lists(good()).then_watches(&[
        ("MODIFIED", unreadable("a")),
        ("ADDED", unreadable("x")),
        ("MODIFIED", node("b", "6.1")),
    ]);
    check(
        &run(&event).await,
        &["a 5.14", "b 6.1", "c 5.14"],
        "[+]watch\n",
    );

    let deleted = Cluster::default()
        .then_lists(good())
        .then_watches(&[("DELETED", unreadable("a")), ("DELETED", unreadable("x"))]);
    check(&run(&deleted).await, &["b 5.14", "c 5.14"], "[+]watch\n");

    let relisted = Cluster::default()
        .then_lists(good())
        .then_watches(&[gone()])
        .then_lists(json!([unreadable("a"), unreadable("x"), node("b", "6.1")]));
    check(&run(&relisted).await, &["a 5.14", "b 6.1"], "[+]watch\n");
}

#[tokio::test(start_paused = true)]
async fn what_keeps_a_watch_from_syncing_is_said_and_waited_for() {
    async fn check_refused(code: u16, text: &str, expected: &str) {
        let mut cluster = Cluster::default();
        for _ in 0..20 {
            cluster = cluster.then(code, text);
        }
        let cluster = cluster.then_lists(json!([node("a", "6.1")]));
        let seen = run_for(&cluster, Duration::from_secs(300)).await;
        assert_eq!(seen.objects, None);
        assert_eq!(seen.readyz, format!("[-]watch: {expected}\n"));
        let seen = run(&cluster).await;
        check(&seen, &["a 6.1"], "[+]watch\n");
        let requests = cluster.requests();
        let pauses = requests.windows(2).map(|pair| pair[1].1 - pair[0].1);
        let pauses: Vec<_> = pauses.take(8).collect();
        assert!(
            pauses.is_sorted_by(|a, b| a <= b || *a >= Duration::from_secs(15)),
            "{pauses:?}"
        );
        assert!(pauses[0] < Duration::from_secs(2), "{pauses:?}");
        assert!(pauses[7] == LONGEST_BACKOFF, "{pauses:?}");
    }
    check_refused(
        404,
        "404 page not found",
        "the API server has no kind Node of v1: install the CustomResourceDefinition nodes",
    )
    .await;
    check_refused(
        403,
        r#"{"kind":"Status","reason":"Forbidden","message":"no","code":403}"#,
        "not allowed to list nodes: grant the verb list on nodes to the service account of this pod",
    )
    .await;
    check_refused(500, "oops", "cannot list nodes: oops (500)").await;
}

#[tokio::test(start_paused = true)]
async fn a_hanging_list_is_given_up_and_begun_anew() {
    let cluster = Cluster::default().then_hangs();
    let seen = run_for(&cluster, Duration::from_secs(61)).await;
    assert_eq!(seen.readyz, "[-]watch: cannot list nodes: no answer\n");
    let cluster = Cluster::default()
        .then_hangs()
        .then_lists(json!([node("a", "6.1")]));
    check(&run(&cluster).await, &["a 6.1"], "[+]watch\n");
}

#[tokio::test(start_paused = true)]
async fn after_the_sync_old_knowledge_is_kept_and_the_trouble_shown() {
    let list = || Cluster::default().then_lists(json!([node("a", "5.14")]));
    // The kind was removed from the API server, and comes back.
    let removed = || {
        list()
            .then_watches(&[gone()])
            .then(404, "404 page not found")
    };
    let text = "[+]watch: the API server has no kind Node of v1: \
                install the CustomResourceDefinition nodes\n";
    let seen = run_for(&removed(), Duration::from_secs(30)).await;
    check(&seen, &["a 5.14"], text);
    let back = removed().then_lists(json!([node("b", "6.1")]));
    check(&run(&back).await, &["b 6.1"], "[+]watch\n");

    let forbidden = list().then_refuses(403, "Forbidden");
    let text = "[+]watch: not allowed to watch nodes: \
                grant the verb watch on nodes to the service account of this pod\n";
    check(&run(&forbidden).await, &["a 5.14"], text);

    let interrupted = list().then_refuses(500, "InternalError");
    check(&run(&interrupted).await, &["a 5.14"], "[+]watch\n");
}

#[tokio::test(start_paused = true)]
async fn watches_of_dynamic_kinds_share_a_signal_that_misses_nothing() {
    type Profile = Object<Value, Value>;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("hostfit.dev", "v1", "HostProfile"));
    let profile = json!({
        "apiVersion": "hostfit.dev/v1", "kind": "HostProfile",
        "metadata": {"name": "el9", "resourceVersion": "3"}, "spec": {"arch": "amd64"},
    });
    let health = Health::new(Shutdown::never());
    let changed = Changed::default();
    let start = |cluster: Cluster| {
        watch_dynamic::<Profile>(
            kind.clone(),
            Api::all_with(cluster.client(), &kind),
            watcher::Config::default(),
            Keep {
                prune: |_| {},
                is_same: |one, other| one.spec == other.spec,
            },
            health.condition("watch"),
            changed.clone(),
        )
    };
    let lists = Cluster::default().then_lists(json!([profile]));
    let ((first, first_work), (second, second_work)) = (
        start(lists.clone()),
        start(Cluster::default().then(404, "404 page not found")),
    );
    let mut changes = changed.subscribe();
    changes.next().await;
    let both = async { tokio::join!(first_work, second_work) };
    tokio::select! {
        _ = both => {}
        () = changes.next() => {}
    }
    let reference = ObjectRef::new_with("el9", kind.clone());
    let found = first.store().unwrap().get(&reference).unwrap();
    assert_eq!(found.spec["arch"], "amd64");
    assert!(second.store().is_none());
    assert!(
        lists.requests()[0]
            .0
            .starts_with("/apis/hostfit.dev/v1/hostprofiles?")
    );
    let expected = "[+]watch\n[-]watch: the API server has no kind HostProfile of hostfit.dev/v1: \
                    install the CustomResourceDefinition hostprofiles.hostfit.dev\n";
    assert_eq!(health.report().1, expected);
    // Several changes are one.
    changed.fire();
    changed.fire();
    changes.next().await;
    assert!(
        timeout(Duration::from_secs(9), changes.next())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn only_a_change_of_what_is_kept_is_one() {
    let changed = Changed::default();
    let writer = Writer::default();
    let mut mirror = Mirror {
        kind: (),
        store: writer.as_reader(),
        writer,
        keep: Keep {
            prune: |node: &mut Node| node.spec = None,
            is_same: Node::eq,
        },
        unreadable: HashMap::new(),
        trouble: Trouble::new(
            Kind::of::<Node>(&()),
            Health::new(Shutdown::never()).condition("watch"),
        ),
        synced: watch::channel(false).0,
        changed: changed.clone(),
    };
    let mut changes = changed.subscribe();
    changes.next().await;
    let mut fires = async |event: fn(Guarded<Node>) -> Event<Guarded<Node>>, object: Value| {
        let event = event(DeserializeGuard(
            Ok(serde_json::from_value(object).unwrap()),
        ));
        mirror.apply(event);
        timeout(Duration::from_secs(1), changes.next())
            .await
            .is_ok()
    };
    assert!(!fires(|_| Event::Init, node("a", "5.14")).await);
    assert!(!fires(Event::InitApply, node("a", "5.14")).await);
    assert!(fires(|_| Event::InitDone, node("a", "5.14")).await);
    let mut heartbeat = node("a", "5.14");
    heartbeat["metadata"]["resourceVersion"] = json!("12");
    heartbeat["spec"] = json!({"podCIDR": "10.0.1.0/24"});
    assert!(!fires(Event::Apply, heartbeat).await);
    assert!(fires(Event::Apply, node("a", "6.1")).await);
    assert!(fires(Event::Apply, node("b", "6.1")).await);
    assert!(fires(Event::Delete, node("b", "6.1")).await);
}
