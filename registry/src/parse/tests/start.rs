//! How an image starts, as its config says.

use serde_json::json;

use super::{config_json, read, with};

#[test]
fn a_config_tells_how_the_image_starts() {
    let execution = json!({
        "Entrypoint": ["/sbin/tini", "--"], "Cmd": ["app", "-v"], "Env": ["A=b", "PATH=/opt/bin:/bin"],
        "WorkingDir": "/srv", "User": "app:app", "ExposedPorts": {"80/tcp": {}, "53/udp": {}, "x": {}},
    });
    let (_, contents) = read(&with(config_json(), "/config", execution)).unwrap();
    let start = contents.start;
    assert_eq!(start.command, ["/sbin/tini", "--", "app", "-v"]);
    assert_eq!(start.path.as_deref(), Some("/opt/bin:/bin"));
    assert_eq!(
        (start.folder.as_str(), start.user.as_str()),
        ("/srv", "app:app")
    );
    assert_eq!(start.ports, [53, 80]);
    // Old builders wrote one word as it is; a huge one is cut.
    let old = json!({"Entrypoint": "/app", "Cmd": ["x".repeat(100_000), "y"]});
    let (_, contents) = read(&with(config_json(), "/config", old)).unwrap();
    let lengths: Vec<_> = contents.start.command.iter().map(String::len).collect();
    assert_eq!(lengths, [4, (64 << 10) - 4, 0]);
}
