//! The floor of admission: everything that the webhook does with a request and an answer, but for the judgement.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hostfit_crds::workload::PodSpec;
use hostfit_process::{Drain, Limits, Shutdown, http};
use hostfit_webhook::tls::Certificate;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    listen: SocketAddr,
    /// Folder with tls.crt and tls.key.
    #[arg(long)]
    tls_dir: PathBuf,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let tls = Certificate::load(&args.tls_dir).await?.config();
    let router = Router::new()
        .route(
            "/mutate",
            post(async |body| answer(body, Some(PATCH)).await),
        )
        .route("/validate", post(async |body| answer(body, None).await));
    let listener = TcpListener::bind(args.listen).await?;
    let drain = Drain::new(Shutdown::never());
    http::serve(listener, Some(tls), router, Limits::default(), drain).await;
    Ok(())
}

/// What the webhook adds to a pod that fits: the API server's work on a patch belongs to the floor.
const PATCH: &str = r#"[{"op":"add","path":"/metadata/annotations","value":{"hostfit.dev/hosts":"2/2","hostfit.dev/verdict":"Floor"}}]"#;

async fn answer(body: Body, patch: Option<&str>) -> Response {
    let Ok(bytes) = to_bytes(body, 8 << 20).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(review) = serde_json::from_slice::<Review<'_>>(&bytes) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(Ok(pod)) = review
        .request
        .object
        .map(|pod| serde_json::from_str::<Pod>(pod.get()))
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    black_box(&pod);
    let uid = review.request.uid;
    let response = match patch {
        Some(patch) => {
            let patch = STANDARD.encode(patch);
            json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": patch})
        }
        None => json!({"uid": uid, "allowed": true}),
    };
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        answer.to_string(),
    )
        .into_response()
}

// The structs of webhook/src/review.rs, which are its own affair: the same fields, the same borrowing.

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "read for the cost of it")]
struct Request<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    resource: Resource<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    #[serde(default)]
    user_info: UserInfo,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read for the cost of it")]
struct Resource<'a> {
    #[serde(borrow, default)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    resource: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    groups: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pod {
    metadata: Option<Metadata>,
    spec: PodSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    generate_name: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<Owner>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    kind: String,
    name: String,
    controller: Option<bool>,
}
