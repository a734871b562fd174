//! JSON that two parsers cannot read differently: no repeated keys, bounded size, depth and number of values (RFC 8259,
//! RFC 7493 §2.3).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Longest message that is looked at: what browsers send over a data channel in one piece.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 16;

/// Values in one message: a constraints message of 200 entries has about 800.
pub const NODES_MAX: usize = 1_000;

/// Reads one JSON value; `None` if it is not one or breaks a limit.
pub fn parse(text: &str) -> Option<Value> {
    if text.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let mut nodes = NODES_MAX;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: DEPTH_MAX, nodes: &mut nodes }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

struct Strict<'a> {
    depth: usize,
    nodes: &'a mut usize,
}

impl Strict<'_> {
    fn inner<E: Error>(&mut self) -> Result<Strict<'_>, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Strict { depth, nodes: self.nodes })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.nodes = self.nodes.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element_seed(self.inner()?)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self.inner()?)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("repeated key"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_json_is_read_as_the_plain_parser_reads_it() {
        for text in
            [r#"{"a":[1,-2,3.5,"x",null,true,{"b":{}}]}"#, "[]", "\"\\u00e9\"", "1e3", "18446744073709551615"]
        {
            assert_eq!(parse(text), serde_json::from_str(text).ok(), "{text}");
        }
    }

    #[test]
    fn ambiguous_and_oversized_json_is_refused() {
        let deep = format!("{}1{}", "[".repeat(DEPTH_MAX + 1), "]".repeat(DEPTH_MAX + 1));
        let wide = format!("[{}1]", "1,".repeat(NODES_MAX));
        let long = format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX));
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"o":{"a":1,"a":2}}"#, "1e999", "{} {}", "", "{", &deep, &wide, &long]
        {
            assert_eq!(parse(text), None, "{}", text.get(..40).unwrap_or(text));
        }
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let deep = format!("{}1{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX));
        let wide = format!("[{}1]", "1,".repeat(NODES_MAX - 2));
        let long = format!("\"{}\"", "x".repeat(MESSAGE_BYTES_MAX - 2));
        for text in [&deep, &wide, &long] {
            assert!(parse(text).is_some(), "{}", &text[..40]);
        }
    }
}
