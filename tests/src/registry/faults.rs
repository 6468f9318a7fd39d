//! How the repositories `evil/<fault>` misbehave: the arms of `answer` and `token` are the list.
//!
//! `…-elsewhere` leads to the address that the test has set, `…-once` is over after the first request,
//! `hang` is over when the test says so.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use super::guard::{bearer, challenge};
use super::image::{self, Image, digest};
use super::{Seen, Shared, content, empty};

/// A list of tags that is none, never ends, or goes on somewhere else.
pub(super) fn tags(shared: &Shared, fault: &str) -> Response {
    let asked = shared.count(fault);
    let page = json!({"name": fault, "tags": ["1", "2"]}).to_string();
    let linked = |link: String| {
        let response = Response::builder().header("link", format!("<{link}>; rel=\"next\""));
        let page = Body::from(page.clone());
        response.body(page).expect("the headers are valid")
    };
    match fault {
        "tags-endless" => linked(format!("?last={asked}")),
        "tags-elsewhere" => linked("http://169.254.169.254/v2/x/tags/list?n=1".to_owned()),
        "tags-blob" => linked("/v2/other/tags/list?n=1".to_owned()),
        "tags-null" => typed("application/json", json!({"tags": null}).to_string()),
        _ => typed("text/html", "<html>Sign in to the network</html>".into()),
    }
}

pub(super) async fn answer(
    shared: &Shared,
    fault: &str,
    is_manifest: bool,
    reference: &str,
    seen: &Seen,
) -> Response {
    let elsewhere = shared.lock().elsewhere.clone();
    let asked = shared.count(fault);
    let is_head = seen.method == "HEAD";
    let repository = format!("evil/{fault}");
    let me = format!("{}://{}", shared.scheme, shared.host);
    let realm = |realm: &str| bearer(realm, &repository);
    match fault {
        "redirect-loop" => redirect(&format!("{me}{}", seen.path)),
        "redirect-chain" => redirect(&format!("{me}{}x", seen.path)),
        // Asks for a password first, so that there is one to steal.
        "redirect-elsewhere" if seen.authorization.is_none() => challenge("Basic realm=\"fake\""),
        "redirect-elsewhere" => redirect(&format!("{elsewhere}{}", seen.path)),
        "redirect-metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        "redirect-mapped" => redirect("http://[::ffff:a9fe:a9fe]/latest/meta-data/"),
        "redirect-file" => redirect("file:///etc/passwd"),
        "redirect-userinfo" => redirect(&format!("{}/x", me.replace("://", "://user:word@"))),
        "realm-metadata" => realm("http://169.254.169.254/token"),
        "realm-decimal" => realm("http://2852039166/token"),
        "realm-userinfo" => realm(&format!("http://{}@169.254.169.254/token", shared.host)),
        "realm-elsewhere" => realm(&format!("{elsewhere}/token")),
        "realm-file" => realm("file:///etc/passwd"),
        "token-newline" | "token-html" | "token-huge" | "token-500" => realm(&shared.realm()),
        "html" => typed("text/html", "<html>Sign in to the network</html>".into()),
        "drip" => drip(),
        "hang" => {
            shared.opened().await;
            good(is_manifest, is_head)
        }
        "short-body" => short(),
        "short-body-once" if asked == 1 => short(),
        "huge-manifest" => endless(),
        "huge-config" if is_manifest => manifest(
            &with(Image::default().manifest(), "/config/size", json!(1 << 30)),
            is_head,
        ),
        "lying-header" if is_manifest => {
            let bytes = Bytes::from(Image::default().manifest_bytes());
            let lie = digest(b"something else");
            Response::builder()
                .header(CONTENT_TYPE, Image::default().media_type())
                .header("docker-content-digest", lie)
                .body(bytes.into())
                .expect("the headers are valid")
        }
        "lying-config" if !is_manifest => {
            let config = String::from_utf8(Image::default().config_bytes());
            let config = config
                .expect("the config is text")
                .replace("amd64", "arm64");
            typed("application/octet-stream", config)
        }
        "lying-size" if is_manifest => manifest(
            &with(Image::default().manifest(), "/config/size", json!(1)),
            is_head,
        ),
        "wrong-type" if is_manifest => {
            let text = Image::default().manifest().to_string();
            typed(image::INDEX, text)
        }
        "both-kinds" if is_manifest => manifest(
            &with(Image::default().manifest(), "/manifests", json!([])),
            is_head,
        ),
        "schema-1" => typed(
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            json!({"schemaVersion": 1, "fsLayers": [], "history": []}).to_string(),
        ),
        "schema-1-signed" => signed(""),
        "schema-1-forged" => signed(r#""architecture":"s390x","#),
        "artifact" => {
            let kind = json!("application/vnd.cncf.helm.config.v1+json");
            manifest(
                &with(Image::default().manifest(), "/config/mediaType", kind),
                is_head,
            )
        }
        "no-rootfs" => {
            let config = json!({"created": "", "os": "linux", "architecture": "amd64"}).to_string();
            if !is_manifest {
                return typed("application/octet-stream", config);
            }
            let named = with(
                Image::default().manifest(),
                "/config/size",
                json!(config.len()),
            );
            let named = with(named, "/config/digest", json!(digest(config.as_bytes())));
            manifest(&named, is_head)
        }
        // No honest index can name itself; this one gives itself for whatever is asked.
        "index-cycle" => nested(&[json!({
            "mediaType": image::INDEX, "digest": digest(b"me"), "size": 100,
        })]),
        "index-deep" => {
            let level = (1..=DEEPEST).find(|level| digest(&deep(*level)) == reference);
            let bytes = deep(level.unwrap_or(0));
            typed(image::INDEX, String::from_utf8(bytes).unwrap_or_default())
        }
        "index-wide" => nested(&vec![Image::default().entry(); 1_001]),
        "401" => empty(StatusCode::UNAUTHORIZED),
        "401-always" => challenge("Basic realm=\"fake\""),
        "403" => empty(StatusCode::FORBIDDEN),
        "404" => empty(StatusCode::NOT_FOUND),
        "418" => empty(StatusCode::IM_A_TEAPOT),
        "429" => limited("60"),
        "429-date" => limited("Wed, 21 Oct 2015 07:28:00 GMT"),
        "429-forever" => limited("1000000000"),
        "500" => empty(StatusCode::INTERNAL_SERVER_ERROR),
        "500-once" if asked == 1 => empty(StatusCode::BAD_GATEWAY),
        "no-head" if is_head => empty(StatusCode::METHOD_NOT_ALLOWED),
        _ => good(is_manifest, is_head),
    }
}

pub(super) fn token(fault: &str) -> Response {
    match fault {
        "token-newline" => typed("application/json", json!({"token": "a\nb: c"}).to_string()),
        "token-html" => typed("text/html", "<html>".into()),
        "token-huge" => endless(),
        "token-500" => empty(StatusCode::INTERNAL_SERVER_ERROR),
        _ => typed("application/json", json!({"token": "good"}).to_string()),
    }
}

fn good(is_manifest: bool, is_head: bool) -> Response {
    let image = Image::default();
    match is_manifest {
        true => content(image.media_type(), image.manifest_bytes().into(), is_head),
        false => content(
            "application/octet-stream",
            image.config_bytes().into(),
            is_head,
        ),
    }
}

fn manifest(json: &Value, is_head: bool) -> Response {
    content(
        Image::default().media_type(),
        json.to_string().into(),
        is_head,
    )
}

fn with(mut json: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(map) = json.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.insert(key.to_owned(), value);
    }
    json
}

fn nested(entries: &[Value]) -> Response {
    let bytes = image::index(&[], entries);
    typed(image::INDEX, String::from_utf8(bytes).unwrap_or_default())
}

const DEEPEST: u8 = 3;

/// An index in an index in an index: each level names the next, the deepest an image.
fn deep(level: u8) -> Vec<u8> {
    if level == DEEPEST {
        return image::index(&[Image::default()], &[]);
    }
    let next = deep(level + 1);
    let entry = json!({"mediaType": image::INDEX, "digest": digest(&next), "size": next.len()});
    image::index(&[], &[entry])
}

fn redirect(location: &str) -> Response {
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, location)
        .body(Body::empty())
        .expect("the location is a valid header")
}

fn limited(retry_after: &str) -> Response {
    Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(RETRY_AFTER, retry_after)
        .body(Body::empty())
        .expect("the pause is a valid header")
}

/// A manifest of schema 1 with a signature, and before that `more`, which its digest does not cover.
fn signed(more: &str) -> Response {
    let config = json!({"os": "linux", "config": {"Env": ["A=1"]}}).to_string();
    let history = json!([{"v1Compatibility": config}]);
    let start =
        format!(r#"{{"schemaVersion":1,"architecture":"amd64","fsLayers":[],"history":{history}"#);
    let payload = format!("{start}}}");
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let tail = json!({"formatLength": start.len(), "formatTail": encode("}")}).to_string();
    let protected = encode(&tail);
    let body = format!(r#"{start},{more}"signatures":[{{"protected":"{protected}"}}]}}"#);
    Response::builder()
        .header(
            CONTENT_TYPE,
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        )
        .header("docker-content-digest", digest(payload.as_bytes()))
        .body(body.into())
        .expect("the headers are valid")
}

fn typed(media_type: &str, body: String) -> Response {
    Response::builder()
        .header(CONTENT_TYPE, media_type)
        .body(body.into())
        .expect("the media type is a valid header")
}

/// Claims more than it sends.
fn short() -> Response {
    broken_off(Bytes::from_static(b"{\"schema"))
}

/// A part of what it promises.
pub(super) fn broken_off(part: Bytes) -> Response {
    let whole = part.len() + 1_000;
    let part = stream::iter([Ok::<_, std::io::Error>(part)]);
    Response::builder()
        .header(CONTENT_LENGTH, whole)
        .body(Body::from_stream(part))
        .expect("the headers are valid")
}

/// One byte, and another, and another.
fn drip() -> Response {
    let bytes = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(b" "))
    });
    Response::new(Body::from_stream(bytes))
}

fn endless() -> Response {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    let chunks = stream::repeat(chunk).map(Ok::<_, std::io::Error>);
    Response::new(Body::from_stream(chunks))
}
