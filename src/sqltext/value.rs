//! One SQL value, and its two JSON forms: the one of the Hrana protocol and
//! the one of results that users see.
//!
//! JSON has no infinity. Sending one is refused (sqld refuses each way to
//! write it); sqld answers `null` where a result is infinite, whose sign is
//! lost, so that it is read as NULL. For the same reason an infinite number
//! is `null` in the results that users see.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Number, Value as Json, json};

use crate::error::{Error, Kind, Result};

/// One SQL value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// Standard alphabet; padding is written and not required: sqld leaves it out.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Value {
    /// `{"type":..., "value":...}` as Hrana wants it. NaN is NULL, as in
    /// SQLite; an infinite number is an error of kind BadArgument.
    pub fn to_hrana(&self) -> Result<Json> {
        Ok(match self {
            Value::Null => json!({"type": "null"}),
            Value::Integer(n) => json!({"type": "integer", "value": n.to_string()}),
            Value::Real(r) if r.is_nan() => json!({"type": "null"}),
            Value::Real(r) if r.is_infinite() => {
                let literal = if *r > 0.0 { "9e999" } else { "-9e999" };
                return Err(Error::new(
                    Kind::BadArgument,
                    format!(
                        "an infinite number cannot be sent as an argument: JSON has none; \
                         write {literal} in the SQL text"
                    ),
                ));
            }
            Value::Real(r) => json!({"type": "float", "value": r}),
            Value::Text(text) => json!({"type": "text", "value": text}),
            Value::Blob(bytes) => json!({"type": "blob", "base64": BASE64.encode(bytes)}),
        })
    }

    /// The form of results that users see: integers with all 64 bits, a real
    /// always with a point or an exponent, a blob as `{"base64": "..."}`.
    /// What is not finite is null.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Integer(n) => json!(n),
            Value::Real(r) => Number::from_f64(*r).map_or(Json::Null, Json::Number),
            Value::Text(text) => json!(text),
            Value::Blob(bytes) => json!({"base64": BASE64.encode(bytes)}),
        }
    }

    /// Reads what [`Value::to_json`] writes, for arguments given as JSON:
    /// true and false are 1 and 0; other objects and arrays are not values.
    pub fn from_json(json: &Json) -> Result<Value> {
        let read = match json {
            Json::Null => Some(Value::Null),
            Json::Bool(truth) => Some(Value::Integer(i64::from(*truth))),
            Json::Number(n) => match n.as_i64() {
                Some(n) => Some(Value::Integer(n)),
                None => n.as_f64().map(Value::Real),
            },
            Json::String(text) => Some(Value::Text(text.clone())),
            Json::Object(object) if object.len() == 1 => object
                .get("base64")
                .and_then(Json::as_str)
                .and_then(|text| BASE64.decode(text).ok())
                .map(Value::Blob),
            Json::Object(_) | Json::Array(_) => None,
        };
        read.ok_or_else(|| {
            Error::new(
                Kind::BadArgument,
                "an argument is neither null, a number, a text, nor {\"base64\": \"...\"}",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;

    use super::*;

    fn all_types() -> Vec<Value> {
        vec![
            Value::Null,
            Value::Integer(0),
            Value::Integer(i64::MIN),
            Value::Integer(i64::MAX),
            Value::Real(1.0),
            Value::Real(-0.0),
            Value::Real(0.1),
            Value::Real(1.797_693_134_862_315_7e308),
            Value::Real(5e-324),
            Value::Real(122.416_294_033_786_58),
            Value::Text(String::new()),
            Value::Text("a\0\u{1F600}\"\\".to_owned()),
            Value::Blob(vec![]),
            Value::Blob(vec![0]),
            Value::Blob(vec![0, 255]),
            Value::Blob(vec![0, 255, 16]),
        ]
    }

    #[test]
    fn every_value_survives_both_forms_as_text() {
        for value in all_types() {
            let hrana = value.to_hrana().unwrap().to_string();
            let back = serde_json::from_str::<Value>(&hrana).unwrap();
            assert_eq!(back, value, "{hrana}");
            let json = value.to_json().to_string();
            let back = Value::from_json(&serde_json::from_str(&json).unwrap()).unwrap();
            assert_eq!(back, value, "{json}");
        }
    }

    #[test]
    fn a_real_stays_a_real_and_an_integer_keeps_64_bits() {
        assert_eq!(Value::Real(1.0).to_json().to_string(), "1.0");
        assert_eq!(Value::Real(-3.0).to_json().to_string(), "-3.0");
        assert_eq!(Value::Integer(i64::MAX).to_json().to_string(), "9223372036854775807");
    }

    #[test]
    fn blobs_are_read_with_and_without_padding() {
        for text in ["AP8=", "AP8"] {
            let json = json!({"type": "blob", "base64": text});
            assert_eq!(Value::deserialize(&json).unwrap(), Value::Blob(vec![0, 255]));
        }
    }

    #[test]
    fn infinity_is_refused_with_a_remedy_and_nan_is_null() {
        let error = Value::Real(f64::NEG_INFINITY).to_hrana().unwrap_err();
        assert_eq!(error.kind(), Kind::BadArgument);
        assert!(error.to_string().contains("write -9e999"), "{error}");
        assert_eq!(Value::Real(f64::NAN).to_hrana().unwrap(), json!({"type": "null"}));
        assert_eq!(Value::Real(f64::INFINITY).to_json(), Json::Null);
        let lost = json!({"type": "float", "value": null});
        assert_eq!(Value::deserialize(&lost).unwrap(), Value::Null);
    }

    #[test]
    fn malformed_values_are_errors() {
        for json in [
            json!(null),
            json!(1),
            json!({}),
            json!({"type": "nothing"}),
            json!({"type": "integer"}),
            json!({"type": "integer", "value": "12a"}),
            json!({"type": "integer", "value": "9223372036854775808"}),
            json!({"type": "integer", "value": 1.5}),
            json!({"type": "float", "value": "1.5"}),
            json!({"type": "text", "value": 5}),
            json!({"type": "blob", "value": "AA"}),
            json!({"type": "blob", "base64": "A"}),
            json!({"type": "blob", "base64": "A*=="}),
        ] {
            assert!(Value::deserialize(&json).is_err(), "{json}");
        }
        for json in [json!([]), json!({}), json!({"base64": 1}), json!({"a": 1})] {
            assert_eq!(Value::from_json(&json).unwrap_err().kind(), Kind::BadArgument);
        }
    }
}
