#![no_main]

#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (_, target) = targets::ALL.iter().find(|(name, _)| *name == "schema").expect("its name");
    target(bytes);
});
