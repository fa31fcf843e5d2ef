//! Numbers between Go's floats and JSON: Go prints a whole float without a
//! fraction, so that `1.0` and `1e3` arrive at the API server as integers.

use serde_json::{Number, Value};

/// From this magnitude on Go prints floats with an exponent, which no reader
/// takes for an integer any more.
const EXPONENT_FROM: f64 = 1e21;

/// The JSON number Go writes for a float; `None` when it has none.
pub(super) fn from_float(float: f64) -> Option<Number> {
    if float.fract() == 0.0 && float.abs() < EXPONENT_FROM {
        // The shortest digits that mean this float, padded with zeros: beyond 2^53
        // that is another integer than the float's exact value.
        let digits = (if float == 0.0 { 0.0 } else { float }).to_string();
        if let Ok(n) = digits.parse::<i64>() {
            return Some(n.into());
        }
        if let Ok(n) = digits.parse::<u64>() {
            return Some(n.into());
        }
    }
    Number::from_f64(float)
}

/// Makes integers of the whole floats in a value that was read from JSON, so that
/// equal manifests are equal values however their numbers were written.
pub fn normalise_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(normal) = number.as_f64().and_then(from_float) {
                *number = normal;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(normalise_numbers),
        Value::Object(fields) => fields.values_mut().for_each(normalise_numbers),
        _ => {}
    }
}

/// A float that is a map's key: the shortest digits of single precision, with an
/// exponent of two digits or more below 1e-4 and from 1e6 on.
pub(super) fn float_key(float: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "keys have single precision in Go's library")]
    let single = float as f32;
    if single.is_nan() {
        return ".nan".to_owned();
    }
    if single.is_infinite() {
        return if single > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{single:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("LowerExp always writes an exponent");
    let exponent: i32 = exponent.parse().expect("LowerExp writes a decimal exponent");
    if (-4..6).contains(&exponent) {
        return single.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}
