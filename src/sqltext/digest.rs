//! A short name for what statements say: two writes with one id and another
//! digest are not the same write.

use crate::sqltext::value::Value;

/// FNV-1a with 64 bits over the texts and the arguments, in 16 hex digits.
pub fn digest<'a>(statements: impl IntoIterator<Item = (&'a str, &'a [Value])>) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    for (sql, args) in statements {
        hash.piece(b's', sql.as_bytes());
        for value in args {
            match value {
                Value::Null => hash.piece(b'n', &[]),
                Value::Integer(integer) => hash.piece(b'i', &integer.to_le_bytes()),
                Value::Real(real) => hash.piece(b'r', &real.to_bits().to_le_bytes()),
                Value::Text(text) => hash.piece(b't', text.as_bytes()),
                Value::Blob(bytes) => hash.piece(b'b', bytes),
            }
        }
    }
    format!("{:016x}", hash.0)
}

struct Fnv(u64);

impl Fnv {
    /// With its kind and its length, so that no two lists read alike.
    fn piece(&mut self, kind: u8, bytes: &[u8]) {
        let length = (bytes.len() as u64).to_le_bytes();
        for byte in [kind].iter().chain(&length).chain(bytes) {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_anywhere_has_another_digest() {
        let statement = |sql: &'static str, args: Vec<Value>| (sql, args);
        let text = |text: &str| Value::Text(text.to_owned());
        let lists = [
            vec![],
            vec![statement("a", vec![])],
            vec![statement("ab", vec![])],
            vec![statement("a", vec![]), statement("b", vec![])],
            vec![statement("a", vec![text("b")])],
            vec![statement("a", vec![Value::Blob(b"b".to_vec())])],
            vec![statement("a", vec![Value::Null])],
            vec![statement("a", vec![Value::Null, Value::Null])],
            vec![statement("a", vec![Value::Integer(1)])],
            vec![statement("a", vec![Value::Real(1.0)])],
            vec![statement("a", vec![text(""), text("bc")])],
            vec![statement("a", vec![text("b"), text("c")])],
            vec![statement("a", vec![text("bc"), text("")])],
        ];
        let digest = |list: &Vec<(&str, Vec<Value>)>| {
            digest(list.iter().map(|(sql, args)| (*sql, args.as_slice())))
        };
        let digests: std::collections::BTreeSet<String> = lists.iter().map(digest).collect();
        assert_eq!(digests.len(), lists.len());
        assert!(digests.iter().all(|digest| digest.len() == 16));
        assert_eq!(digest(&lists[3]), digest(&lists[3].clone()));
    }
}
