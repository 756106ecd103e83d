//! Points in time: what `wait: {until}` gives, as the timestamp that a Wait state takes.

use serde_json::Value;

/// The timestamp of a constant.
pub(super) fn constant(value: &Value) -> Option<String> {
    let time = match value {
        Value::String(text) => text.parse::<jiff::Timestamp>().ok()?,
        Value::Number(number) => jiff::Timestamp::from_millisecond((number.as_f64()? * 1000.0).ceil() as i64).ok()?,
        _ => return None,
    };
    Some(format!("{time:.3}"))
}

/// RFC 3339. What JSONata's `$toMillis` takes for a time beyond that is none.
const FORM: &str = "/^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?\
                    (Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$/";

/// JSONata of the timestamp that the value of `code` means; raises where it means none. With a bound of the attempt in
/// seconds: of `{end, late}`, the earlier of both, and whether that is the bound.
pub(super) fn code(code: &str, bound: Option<u64>) -> String {
    // A day that its month does not have comes back as another one.
    let millis = format!(
        "$theTime := ({code}); \
         $theText := $type($theTime) = 'string' ? $replace($uppercase($theTime), ' ', 'T') : ''; \
         $theDay := $substring($theText, 0, 10); \
         $theMillis := $type($theTime) = 'number' ? $ceil($theTime * 1000) \
         : $contains($theText, {FORM}) and $substring($fromMillis($toMillis($theDay & 'T00:00:00Z')), 0, 10) = $theDay \
         ? $toMillis($theText) : $error('no time')"
    );
    match bound {
        None => format!("({millis}; $fromMillis($theMillis))"),
        Some(seconds) => format!(
            "({millis}; $theBound := $toMillis($states.context.State.EnteredTime) + {}; \
             {{'end': $fromMillis($min([$theMillis, $theBound])), 'late': $theMillis > $theBound}})",
            seconds * 1000
        ),
    }
}
