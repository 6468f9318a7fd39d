//! What comes in that is no review, or no review of a pod.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::review::{create, patched, pod, read, update};
use super::stand::{Setup, Stand};

const LIMIT: usize = 8 << 20;

/// What is answered to bytes that no HTTP client would send.
async fn raw(stand: &Stand, parts: &[&[u8]]) -> String {
    let mut roots = rustls::RootCertStore::empty();
    let pem = stand.authority.pem();
    let root = rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes());
    roots.add(root.unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let stream = TcpStream::connect(("127.0.0.1", stand.port()))
        .await
        .unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = connector.connect(name, stream).await.unwrap();
    for part in parts {
        // It may have answered, and closed, before all is sent.
        if stream.write_all(part).await.is_err() {
            break;
        }
    }
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn post(stand: &Stand, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
    let mut request = stand.client.post(stand.url(path)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn what_is_no_review_is_refused_and_nothing_breaks() {
    let stand = Setup::ordinary(json!({})).await.ready().await;
    let review = json!({"request": create(pod("nginx"))});
    let without = |field: &str| {
        let mut review = review.clone();
        review["request"].as_object_mut().unwrap().remove(field);
        review.to_string()
    };
    for body in [
        String::new(),
        "no JSON".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"request": null}"#.to_owned(),
        r#"{"request": {}}"#.to_owned(),
        r#"{"request": {"uid": 7}}"#.to_owned(),
        without("uid"),
        without("resource"),
        without("operation"),
        format!("{}, \"more\"", review),
        "\u{feff}{}".to_owned(),
        format!("{{\"request\": {}", "[".repeat(200_000)),
    ] {
        let (status, text) = post(&stand, "/validate", &[], body.clone().into()).await;
        assert_eq!(
            status,
            400,
            "{}: {text}",
            body.chars().take(80).collect::<String>()
        );
        assert!(text.contains("no AdmissionReview"), "{text}");
    }
    for encoding in ["gzip", "deflate", "br", "identity"] {
        let headers = [("content-encoding", encoding)];
        let (status, _) = post(&stand, "/mutate", &headers, review.to_string().into()).await;
        assert_eq!(status, 415, "{encoding}");
    }
    assert_eq!(post(&stand, "/other", &[], Vec::new()).await.0, 404);
    let get = stand
        .client
        .get(stand.url("/validate"))
        .send()
        .await
        .unwrap();
    assert_eq!(get.status(), 405);
    assert_eq!(stand.registry.take(), [""; 0]);

    let image = stand.image("evil/404:1");
    assert_eq!(
        stand.judge(pod(&image)).await,
        "Unknown HF906: warned HF906"
    );
    let metrics = stand.admin("/metrics").await.1;
    let errors = r#"hostfit_admission_requests_total{kind="validate",decision="error"} 13"#;
    assert!(metrics.contains(errors), "{metrics}");
}

#[tokio::test]
async fn a_review_may_have_8_mib_and_no_byte_more() {
    let stand = Setup::ordinary(json!({})).await.ready().await;
    let request = create(pod("registry.example/${PLACEHOLDER}"));
    let uid = request["uid"].clone();
    let mut body = json!({"request": request}).to_string();
    body.push_str(&" ".repeat(LIMIT - body.len()));
    let (status, text) = post(&stand, "/validate", &[], body.clone().into()).await;
    assert_eq!(status, 200);
    assert_eq!(read(&text, &uid).summary(), "warned HF908");

    let head = "POST /validate HTTP/1.1\r\nHost: hostfit\r\nConnection: close\r\n";
    // By its headers alone: nothing of the body is read.
    let announced = format!("{head}Content-Length: {}\r\n\r\n", LIMIT + 1);
    let answer = raw(&stand, &[announced.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Of unknown length: counted as it comes.
    let chunk = format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n",
        body.len() + 1
    );
    let parts = [chunk.as_bytes(), body.as_bytes(), b" \r\n0\r\n\r\n"];
    let answer = raw(&stand, &parts).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let absurd = format!("{head}Content-Length: 99999999999999999999\r\n\r\n");
    let answer = raw(&stand, &[absurd.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many = format!("{head}{}\r\n", "X-Y: z\r\n".repeat(10_000));
    let answer = raw(&stand, &[many.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn reviews_of_other_things_are_allowed_and_nothing_is_said_or_asked() {
    let stand =
        Setup::ordinary(json!({"mode": "Enforce", "unknownPolicy": {"imageUnreadable": "Deny"}}))
            .await
            .ready()
            .await;
    let image = stand.image("evil/404:1");
    let change = |change: &dyn Fn(&mut Value)| {
        let mut request = create(pod(&image));
        change(&mut request);
        request
    };
    let resource = |group: &str, resource: &str| {
        let resource = json!({"group": group, "version": "v1", "resource": resource});
        change(&|request| request["resource"] = resource.clone())
    };
    let sub_resource = |name: &str| {
        change(&|request| {
            request["subResource"] = json!(name);
            request["operation"] = json!("UPDATE");
        })
    };
    let operation = |name: &str| change(&|request| request["operation"] = json!(name));
    let others = [
        resource("apps", "deployments"),
        resource("metrics.k8s.io", "pods"),
        resource("", "nodes"),
        sub_resource("status"),
        sub_resource("binding"),
        sub_resource("eviction"),
        sub_resource("resize"),
        sub_resource("exec"),
        operation("DELETE"),
        operation("CONNECT"),
        operation("SOMEDAY"),
        change(&|request| request["object"] = Value::Null),
        change(&|request| drop(request.as_object_mut().unwrap().remove("object"))),
    ];
    for request in others {
        let mut request = request;
        // Whatever it is, it comes back as it was.
        request["uid"] = json!("a \"uid\"\\ with\nescapes \u{1f980}");
        for answer in [
            stand.mutate(request.clone()).await,
            stand.validate(request.clone()).await,
        ] {
            assert!(answer.is_silent(), "{request}\n{answer:?}");
        }
    }
    assert_eq!(stand.registry.take(), [""; 0]);
    assert_eq!(
        stand.judge(pod(&image)).await,
        "Unknown HF906: refused HF906"
    );
}

#[tokio::test]
async fn a_pod_without_metadata_is_judged_and_not_patched() {
    let stand = Setup::ordinary(json!({})).await.ready().await;
    let image = stand.image("evil/404:1");
    for change in [
        (|pod: &mut Value| drop(pod.as_object_mut().unwrap().remove("metadata"))) as fn(&mut Value),
        |pod| pod["metadata"] = Value::Null,
    ] {
        let mut pod = pod(&image);
        change(&mut pod);
        let answer = stand.mutate(create(pod.clone())).await;
        assert_eq!(answer.summary(), "warned HF906");
        assert!(answer.patch.is_empty());
        assert_eq!(stand.validate(create(pod)).await.summary(), "warned HF906");
    }
    let mut nameless = pod(&image);
    nameless["metadata"] = json!({"generateName": "web-"});
    let mut request = create(nameless.clone());
    request["name"] = json!("");
    let answer = stand.mutate(request.clone()).await;
    assert_eq!(
        patched(&nameless, &answer)["metadata"]["annotations"]["hostfit.dev/verdict"],
        "Unknown"
    );
    let warning = &stand.validate(request).await.warnings[0];
    assert!(
        warning.starts_with("shop/web-: container web "),
        "{warning}"
    );
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_is_let_in_with_one_warning() {
    let stand = Setup::ordinary(json!({"mode": "Enforce"}))
        .await
        .ready()
        .await;
    let image = stand.image("evil/404:1");
    for (pointer, wrong) in [
        ("/spec", json!("text")),
        ("/spec/containers", json!({"name": "web"})),
        ("/spec/containers/0", json!("web")),
        ("/spec/containers/0/image", json!(7)),
        ("/spec/containers/0/name", json!({})),
        ("/metadata", json!([1, 2, 3])),
        ("/metadata/name", json!(false)),
    ] {
        let mut broken = pod(&image);
        *broken.pointer_mut(pointer).unwrap() = wrong.clone();
        for answer in [
            stand.mutate(create(broken.clone())).await,
            stand.validate(create(broken.clone())).await,
        ] {
            assert_eq!(answer.summary(), "warned HF908", "{pointer} {wrong}");
            assert!(answer.patch.is_empty());
        }
        // What it was before does not matter if it cannot be read.
        let judged = stand.validate(update(broken, pod(&image))).await;
        if pointer.starts_with("/spec") {
            assert_eq!(judged.summary(), "warned HF906", "{pointer} {wrong}");
        }
    }
    for nothing in [
        "/spec/volumes",
        "/spec/initContainers",
        "/spec/nodeSelector",
        "/spec/affinity",
    ] {
        let mut sparse = pod(&image);
        let name = nothing.rsplit('/').next().unwrap();
        sparse["spec"][name] = Value::Null;
        assert_eq!(
            stand.validate(create(sparse)).await.summary(),
            "warned HF906",
            "{nothing}"
        );
    }
}

#[tokio::test]
async fn bombs_of_json_are_answered_in_time() {
    let mut setup = Setup::ordinary(json!({})).await;
    setup.set("HOSTFIT_PATIENCE_MS", "300");
    let stand = setup.ready().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = json!({"request": create(pod("${X}"))}).to_string();
    let uid = create(pod("x"))["uid"].clone();
    for body in [
        text.replacen("\"spec\":{", &format!("\"spec\":{{\"someday\":{deep},"), 1),
        text.replacen(
            "\"object\":{",
            &format!("\"object\":{{\"someday\":{deep},"),
            1,
        ),
        text.replacen(
            "\"request\":{",
            &format!("\"request\":{{\"someday\":{deep},"),
            1,
        ),
        text.replacen(
            "\"spec\":{",
            &format!("\"spec\":{{\"number\":{},", "9".repeat(100_000)),
            1,
        ),
    ] {
        let (status, text) = post(&stand, "/validate", &[], body.into()).await;
        assert_eq!(status, 200);
        assert_eq!(read(&text, &uid).summary(), "warned HF908");
    }

    let containers: Vec<_> = (0..5_000)
        .map(|n| json!({"name": format!("c{n}"), "image": stand.image(&format!("evil/404:{n}"))}))
        .collect();
    let mut crowd = pod("x");
    crowd["spec"]["containers"] = json!(containers);
    let answer = stand.validate(create(crowd)).await;
    assert!(answer.summary().starts_with("warned HF905"), "{answer:?}");
    let asked = stand.registry.take().len();
    assert!(asked <= 512, "{asked} requests for one pod");
    assert_eq!(
        stand.judge(pod("${X}")).await,
        "Unknown HF908: warned HF908"
    );
}
