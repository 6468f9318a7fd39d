//! Computed digests, and layer chains made of them.

use hostfit_engine::image::Digest;
use sha2::{Digest as _, Sha256, Sha512};

/// The sha256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let text = format!("sha256:{}", hex(&Sha256::digest(bytes)));
    text.parse()
        .expect("64 lower-case hexadecimal digits are a digest")
}

/// Whether `bytes` have this digest, by its own algorithm.
pub(crate) fn is_digest_of(digest: &Digest, bytes: &[u8]) -> bool {
    match digest.parts() {
        ("sha512", stated) => hex(&Sha512::digest(bytes)) == stated,
        (_, stated) => hex(&Sha256::digest(bytes)) == stated,
    }
}

/// Whether the same bytes cannot have both digests, as far as can be told without the bytes.
pub(crate) fn contradicts(one: &Digest, other: &Digest) -> bool {
    one.parts().0 == other.parts().0 && one != other
}

/// The chain IDs of the OCI image specification: of the first layer, the first two layers, …
pub(crate) fn chain_ids(diff_ids: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let chain = diff_ids.into_iter().scan(None, |below, layer| {
        let id = match below.take() {
            None => layer,
            Some(below) => sha256(format!("{below} {layer}").as_bytes()),
        };
        *below = Some(id.clone());
        Some(id)
    });
    chain.collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_algorithm() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256(b"").parts(), ("sha256", empty));
        assert!(is_digest_of(&sha256(b"x"), b"x"));
        assert!(!is_digest_of(&sha256(b"x"), b"y"));
        let long = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
            47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";
        let long: Digest = format!("sha512:{long}").parse().unwrap();
        assert!(is_digest_of(&long, b""));
        assert!(!is_digest_of(&long, b"x"));
    }

    #[test]
    fn a_chain_hashes_what_is_below_with_the_next_layer() {
        let [a, b, c] = [sha256(b"a"), sha256(b"b"), sha256(b"c")];
        let two = sha256(format!("{a} {b}").as_bytes());
        let three = sha256(format!("{two} {c}").as_bytes());
        assert_eq!(chain_ids([a.clone(), b, c]), [a, two, three]);
        assert_eq!(chain_ids([]), []);
    }
}
