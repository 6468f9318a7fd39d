//! Layers compressed with zstd.

use super::*;

#[test]
fn of_zstd_layers_the_type_that_fewer_runtimes_take_is_told() {
    const OCI_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    const DOCKER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    for (first, second, expected) in [
        (None, None, None),
        (Some(OCI_ZSTD), None, Some(Zstd::Oci)),
        (Some(DOCKER_ZSTD), Some(OCI_ZSTD), Some(Zstd::Docker)),
    ] {
        let mut image = image_json();
        for (index, media_type) in [first, second].iter().enumerate() {
            if let Some(media_type) = media_type {
                image["layers"][index]["mediaType"] = json!(media_type);
            }
        }
        let Ok(Document::Image(manifest)) = document(image.to_string().as_bytes(), None) else {
            panic!("it is an image");
        };
        assert_eq!(manifest.zstd, expected);
    }
}
