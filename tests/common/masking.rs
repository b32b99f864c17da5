//! Hides the values that differ from run to run.

/// The ends of names whose values differ from run to run.
const MASKED: [&str; 4] = ["_ms", "bytes_received", "log_id", "position"];

/// `"duration_ms":12` as `"duration_ms":*`.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\":") {
        let (name, value) = rest.split_at(at + 2);
        let end = value.find([',', '}', ']']).unwrap_or(value.len());
        let hide = MASKED.iter().any(|masked| name[..at].ends_with(masked));
        masked += name;
        masked += if hide && &value[..end] != "null" { "*" } else { &value[..end] };
        rest = &value[end..];
    }
    masked + rest
}
