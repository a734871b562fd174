//! The wire format of protocol buffers, as far as a few small messages need it.

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message in their order, up to its end or to what is not legal.
pub(super) fn fields(mut message: &[u8]) -> impl Iterator<Item = (u32, Value<'_>)> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut message)?;
            let number = u32::try_from(key >> 3).ok()?;
            match key & 7 {
                0 => return Some((number, Value::Number(varint(&mut message)?))),
                2 => {
                    let len = usize::try_from(varint(&mut message)?).ok()?;
                    let (bytes, rest) = message.split_at_checked(len)?;
                    message = rest;
                    return Some((number, Value::Bytes(bytes)));
                }
                // Numbers of fixed size: nothing that we look at.
                1 => message = message.get(8..)?,
                5 => message = message.get(4..)?,
                _ => return None,
            }
        }
    })
}

/// The first field of this number that is a message or bytes.
pub(super) fn message(of: &[u8], number: u32) -> Option<&[u8]> {
    messages(of, number).next()
}

/// All fields of this number that are messages or bytes.
pub(super) fn messages(of: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(of).filter_map(move |(found, value)| match value {
        Value::Bytes(bytes) if found == number => Some(bytes),
        _ => None,
    })
}

/// The first field of this number that is text.
pub(super) fn text(of: &[u8], number: u32) -> Option<String> {
    String::from_utf8(message(of, number)?.to_vec()).ok()
}

/// The first field of this number that is a number; what is not there is zero.
pub(super) fn number(of: &[u8], number: u32) -> u64 {
    let mut numbers = fields(of).filter_map(|(found, value)| match value {
        Value::Number(value) if found == number => Some(value),
        _ => None,
    });
    numbers.next().unwrap_or_default()
}

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(mut self, number: u32, value: u64) -> Writer {
        self.put(u64::from(number) << 3);
        self.put(value);
        self
    }

    pub(super) fn bytes(mut self, number: u32, bytes: &[u8]) -> Writer {
        self.put(u64::from(number) << 3 | 2);
        self.put(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(self, number: u32, text: &str) -> Writer {
        self.bytes(number, text.as_bytes())
    }

    pub(super) fn message(self, number: u32, message: Writer) -> Writer {
        self.bytes(number, &message.0)
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Writer::default().text(2, "sdp").number(3, 300);
        let bytes = Writer::default().number(1, 5).message(2, inner).text(3, "a").text(3, "b").finish();
        let inner = message(&bytes, 2).unwrap();
        assert_eq!((text(inner, 2).as_deref(), number(inner, 3), number(&bytes, 1)), (Some("sdp"), 300, 5));
        let texts: Vec<&[u8]> = messages(&bytes, 3).collect();
        assert_eq!(texts, [b"a", b"b"]);
        assert_eq!((number(&bytes, 9), text(&bytes, 9)), (0, None));
    }

    #[test]
    fn the_example_of_the_specification_is_read_and_broken_ones_end() {
        assert_eq!(number(&[0x08, 0x96, 0x01], 1), 150);
        assert_eq!(text(b"\x12\x07testing", 2).as_deref(), Some("testing"));
        for broken in [&b"\x12\x09short"[..], &[0x08], &[0x08, 0x96], &[0xFF; 12], &[0x0B, 1], &[0x09, 1]] {
            assert_eq!(fields(broken).count(), 0, "{broken:?}");
        }
        // A fixed number before one of ours is passed over.
        assert_eq!(number(&[0x0D, 1, 2, 3, 4, 0x10, 7], 2), 7);
    }
}
