//! Records of a PAX header: `LENGTH KEY=VALUE\n`. A value may hold any byte, line breaks as well, as those of extended
//! attributes do.

use super::Refused;

const MALFORMED: Refused = Refused("a layer of it has a malformed extended header");

/// The records of a header: key and value.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Refused>> {
    std::iter::from_fn(move || {
        // What fills the block.
        if bytes.first().is_none_or(|byte| *byte == 0) {
            return None;
        }
        match record(bytes) {
            Some((key, value, rest)) => {
                bytes = rest;
                Some(Ok((key, value)))
            }
            None => {
                bytes = &[];
                Some(Err(MALFORMED))
            }
        }
    })
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = std::str::from_utf8(bytes.get(..blank)?).ok()?;
    let (record, rest) = bytes.split_at_checked(length.parse().ok()?)?;
    let text = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((text.get(..equals)?, text.get(equals + 1..)?, rest))
}

/// The attribute that holds the capabilities of a file, as every builder of images writes it.
pub(super) const CAPABILITIES: &[u8] = b"SCHILY.xattr.security.capability";

/// Whether capabilities of a file let who starts it open low ports: `CAP_NET_BIND_SERVICE` among those that it permits,
/// and in effect at once.
pub(super) fn binds_low_ports(capabilities: &[u8]) -> bool {
    const NET_BIND_SERVICE: u32 = 1 << 10;
    const EFFECTIVE: u32 = 1;
    let word = |index: usize| {
        let bytes = capabilities.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let (Some(magic), Some(permitted)) = (word(0), word(1)) else {
        return false;
    };
    magic & EFFECTIVE != 0 && permitted & NET_BIND_SERVICE != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_line_breaks_and_what_is_cut_is_malformed() {
        let read = |bytes: &[u8]| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let read = records(bytes).map(|it| it.map(|(key, value)| (text(key), text(value))));
            read.collect::<Result<Vec<_>, _>>()
        };
        let two = b"11 a=b\nc=d\n11 path=xy\n\0\0\0";
        let read_two = read(two).unwrap();
        assert_eq!(read_two[0], ("a".to_owned(), "b\nc=d".to_owned()));
        assert_eq!(read_two[1], ("path".to_owned(), "xy".to_owned()));
        for malformed in [
            &b"99 a=b\n"[..],
            b"7 a=b.",
            b"x a=b\n",
            b"5 ab\n",
            b"0 a=b\n",
        ] {
            assert!(read(malformed).is_err(), "{malformed:?}");
        }
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn a_capability_counts_where_it_is_permitted_and_in_effect() {
        let binds = |words: &[u32]| {
            let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            binds_low_ports(&bytes)
        };
        assert!(binds(&[0x0200_0001, 1 << 10, 0, 0, 0]));
        assert!(binds(&[0x0300_0001, 0xffff, 0, 0, 0, 0]));
        assert!(!binds(&[0x0200_0000, 1 << 10, 0, 0, 0]), "not in effect");
        assert!(!binds(&[0x0200_0001, 1 << 11, 0, 0, 0]), "another one");
        assert!(!binds(&[0x0200_0001]));
    }
}
