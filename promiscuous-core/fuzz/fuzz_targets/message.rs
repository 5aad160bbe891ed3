//! No body makes the decoder panic, and what it reads it writes and reads again as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use promiscuous_core::key::decode_id;
use promiscuous_core::message::Message;

fuzz_target!(|body: &[u8]| {
    let Ok(message) = Message::decode(body) else { return };
    let text = message.encode().expect("What was read can be written.");
    let again = Message::decode(text.as_bytes()).expect("What was written can be read.");
    assert_eq!(again, message);
    let _ = (message.endpoints(), message.as_causes(), message.version_of(0));
    for operation in &message.operations {
        operation.key().expect("Keys were checked.");
        decode_id(&operation.id).expect("Ids were checked.");
    }
});
