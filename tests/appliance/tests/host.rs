//! The profile of the host against what media asks of it.

use appliance::{directives, root};
use tuning::{HOST, Wanted};

#[test]
fn the_host_is_asked_for_the_socket_buffers_that_media_asks_for() {
    let options = uring::Options::new(Vec::new(), 0);
    let asked = [
        ("net.core.rmem_max", options.socket_receive_bytes),
        ("net.core.wmem_max", options.socket_send_bytes),
    ];
    for (key, bytes) in asked {
        let setting = HOST.iter().find(|setting| setting.key == key).expect("it is looked at");
        assert_eq!(setting.wanted, Wanted::AtLeast(u64::from(bytes)), "{key}");
    }
}

#[test]
fn the_profile_in_the_repository_has_one_line_with_a_reason_for_each_setting_it_sets() {
    let text = std::fs::read_to_string(root().join("systemd/90-sluice.conf")).expect("the profile is there");
    assert_eq!(text, tuning::render());
    let lines = directives(&text).expect("the form of a unit file, without sections");
    assert_eq!(lines.len(), HOST.iter().filter(|setting| setting.in_profile).count());
    for line in lines {
        assert!(line.comment.is_some(), "{}", line.name);
    }
}
