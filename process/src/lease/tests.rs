use std::{future::pending, sync::Arc};

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::json;

use super::*;

/// An API server that holds one Lease object.
#[derive(Clone, Default)]
struct Cluster(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    record: Option<Record>,
    version: u64,
    fault: Option<Fault>,
    requests: Vec<Method>,
}

#[derive(Clone, Copy)]
enum Fault {
    Hangs,
    Answers(u16),
}

impl Cluster {
    fn candidate(&self, identity: &str) -> Lease {
        let cluster = self.clone();
        let service = tower::service_fn(move |request| {
            let cluster = cluster.clone();
            async move { Ok::<_, std::convert::Infallible>(cluster.answer(request).await) }
        });
        let owner = OwnerReference {
            name: "hostfit-operator".to_owned(),
            uid: "42".to_owned(),
            ..OwnerReference::default()
        };
        Lease::new(
            Client::new(service, "x"),
            "hostfit",
            "operator",
            identity,
            Some(owner),
        )
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    fn fault(&self, fault: impl Into<Option<Fault>>) {
        self.held().fault = fault.into();
    }

    /// Somebody edits the object, or deletes it.
    fn edit(&self, edit: impl FnOnce(&mut Option<Record>)) {
        let mut held = self.held();
        edit(&mut held.record);
        held.version += 1;
        let version = held.version.to_string();
        if let Some(record) = &mut held.record {
            record.metadata.resource_version = Some(version);
        }
    }

    fn spec(&self) -> LeaseSpec {
        self.held().record.clone().unwrap().spec.unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let fault = {
            let mut held = self.held();
            held.requests.push(parts.method.clone());
            held.fault
        };
        match fault {
            Some(Fault::Hangs) => pending().await,
            Some(Fault::Answers(code)) => return refuse(code),
            None => {}
        }
        let mut held = self.held();
        let current = held.record.as_ref();
        let current = current.and_then(|record| record.metadata.resource_version.clone());
        if parts.method == Method::GET {
            return held.record.as_ref().map_or_else(|| refuse(404), accept);
        }
        let mut record: Record = serde_json::from_slice(&body).unwrap();
        match (parts.method, current) {
            (Method::POST, None) => {}
            (Method::POST, Some(_)) => return refuse(409),
            (Method::PUT, None) => return refuse(404),
            (Method::PUT, current) if current != record.metadata.resource_version => {
                return refuse(409);
            }
            (Method::PUT, _) => {}
            (method, _) => panic!("unexpected {method}"),
        }
        held.version += 1;
        record.metadata.resource_version = Some(held.version.to_string());
        held.record = Some(record.clone());
        accept(&record)
    }
}

fn accept(record: &Record) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(record).unwrap()))
}

fn refuse(code: u16) -> Response<Body> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason,
    });
    let body = Body::from(status.to_string().into_bytes());
    Response::builder().status(code).body(body).unwrap()
}

/// Runs a candidate for a while as its holder; how that ended, if it did.
async fn hold_for(lease: &Lease, seconds: u64) -> Option<String> {
    let lost = tokio::time::timeout(Duration::from_secs(seconds), lease.hold()).await;
    lost.ok().map(|lost| lost.to_string())
}

/// How long acquiring takes, in seconds.
async fn acquire(lease: &Lease) -> u64 {
    let started = Instant::now();
    lease.acquire().await;
    started.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_creates_the_object_and_renews_it_with_one_request_each() {
    let cluster = Cluster::default();
    let lease = cluster.candidate("a");
    assert!(!lease.is_held());
    assert_eq!(acquire(&lease).await, 0);
    assert!(lease.is_held());
    let spec = cluster.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    assert_eq!(spec.lease_transitions, Some(0));
    let owners = cluster
        .held()
        .record
        .clone()
        .unwrap()
        .metadata
        .owner_references;
    assert_eq!(owners.unwrap()[0].name, "hostfit-operator");
    assert_eq!(hold_for(&lease, 61).await, None);
    assert!(lease.is_held());
    assert!(cluster.spec().renew_time > spec.renew_time);
    assert_eq!(cluster.spec().acquire_time, spec.acquire_time);
    let mut expected = vec![Method::GET, Method::POST];
    expected.extend(vec![Method::PUT; 30]);
    assert_eq!(cluster.held().requests, expected);
}

#[tokio::test(start_paused = true)]
async fn others_wait_while_it_is_renewed_and_take_over_15_seconds_after_the_last_change() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.candidate("a"), cluster.candidate("b"));
    a.acquire().await;
    tokio::select! {
        lost = a.hold() => panic!("{lost}"),
        () = b.acquire() => panic!("two leaders"),
        () = sleep(Duration::from_secs(60)) => {}
    }
    // Nobody renews any more. The other one began to watch at this moment, as far as it knows.
    let b = cluster.candidate("b");
    let waited = acquire(&b).await;
    assert!((15..=17).contains(&waited), "{waited}");
    assert!(!a.is_held());
    assert_eq!(cluster.spec().holder_identity.as_deref(), Some("b"));
    assert_eq!(cluster.spec().lease_transitions, Some(1));
    // What a stopped process would see when it goes on.
    assert!(
        hold_for(&a, 60)
            .await
            .unwrap()
            .starts_with("the lease could not be renewed for 10s")
    );
}

#[tokio::test(start_paused = true)]
async fn clocks_of_other_hosts_do_not_matter() {
    for year in ["1999", "2099"] {
        let cluster = Cluster::default();
        cluster.candidate("a").acquire().await;
        let time = format!("{year}-01-01T00:00:00Z").parse().unwrap();
        cluster.edit(|record| {
            record.as_mut().unwrap().spec.as_mut().unwrap().renew_time = Some(MicroTime(time));
        });
        let waited = acquire(&cluster.candidate("b")).await;
        assert!((15..=17).contains(&waited), "{year}: {waited}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_is_free_at_once() {
    let cluster = Cluster::default();
    let (a, b) = (cluster.candidate("a"), cluster.candidate("b"));
    a.acquire().await;
    assert_eq!(hold_for(&a, 5).await, None);
    a.release().await;
    assert!(!a.is_held());
    assert_eq!(cluster.spec().holder_identity, None);
    assert_eq!(acquire(&b).await, 0);
    // Who does not lead, or no longer, has nothing to release.
    a.release().await;
    assert_eq!(cluster.spec().holder_identity.as_deref(), Some("b"));
    assert_eq!(cluster.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_restarted_holder_leads_at_once() {
    let cluster = Cluster::default();
    cluster.candidate("a").acquire().await;
    assert_eq!(acquire(&cluster.candidate("a")).await, 0);
    assert_eq!(cluster.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn leadership_survives_short_trouble_and_ends_ten_seconds_after_the_last_renewal() {
    for fault in [
        Fault::Hangs,
        Fault::Answers(500),
        Fault::Answers(403),
        Fault::Answers(409),
    ] {
        let cluster = Cluster::default();
        let lease = cluster.candidate("a");
        lease.acquire().await;
        assert_eq!(hold_for(&lease, 3).await, None);
        cluster.fault(fault);
        assert_eq!(hold_for(&lease, 6).await, None);
        cluster.fault(None);
        assert_eq!(hold_for(&lease, 20).await, None);
        assert!(lease.is_held());
        cluster.fault(fault);
        let started = Instant::now();
        let lost = hold_for(&lease, 60).await.unwrap();
        assert!(
            lost.starts_with("the lease could not be renewed for 10s: "),
            "{lost}"
        );
        assert!(started.elapsed() <= Duration::from_secs(10));
        assert!(!lease.is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_notices_what_others_did() {
    async fn check(edit: impl FnOnce(&mut Option<Record>), expected: &str) {
        let cluster = Cluster::default();
        let lease = cluster.candidate("a");
        lease.acquire().await;
        cluster.edit(edit);
        assert_eq!(
            hold_for(&lease, 3).await.as_deref().unwrap_or("held"),
            expected
        );
        assert_eq!(lease.is_held(), expected == "held");
    }
    fn spec(record: &mut Option<Record>) -> &mut LeaseSpec {
        record.as_mut().unwrap().spec.as_mut().unwrap()
    }
    let taken = |record: &mut _| spec(record).holder_identity = Some("b".to_owned());
    check(taken, "the lease is now held by \"b\"").await;
    let cleared = |record: &mut _| spec(record).holder_identity = None;
    check(cleared, "the lease is now held by \"\"").await;
    check(|record| *record = None, "the lease was deleted").await;
    // A label, say: the object differs, its holder does not.
    check(|_| {}, "held").await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_outlasts_every_trouble() {
    let cluster = Cluster::default();
    cluster.fault(Fault::Answers(403));
    let lease = cluster.candidate("a");
    tokio::join!(lease.acquire(), async {
        sleep(Duration::from_secs(7)).await;
        cluster.fault(Fault::Hangs);
        sleep(Duration::from_secs(30)).await;
        cluster.fault(None);
    });
    assert!(lease.is_held());
}
