//! `/config.js`: what web clients read before they connect. It names our own page's host, so that every way to reach the
//! server works without a setting.

use serde_json::{Map, Value, json};
use signaling::Domains;

use crate::config::Config;

/// The script.
pub(crate) fn script(config: &Config, domains: &Domains) -> String {
    let own = json!({
        "hosts": { "domain": domains.main, "muc": domains.muc, "focus": domains.focus },
        "focusUserJid": format!("focus@auth.{}", domains.main),
        "bridgeChannel": { "preferSctp": config.conference.websocket_url.is_none() },
        "p2p": { "enabled": false },
        "flags": { "ssrcRewritingEnabled": true },
        "analytics": { "disabled": true },
        "sluice": { "appName": config.client.app_name },
    });
    let mut options = own.as_object().cloned().unwrap_or_default();
    merge(&mut options, &config.client.options);
    let options = in_script(&Value::Object(options));

    // Sandboxes of mobile clients run this without a page: then only a configured URL can be named.
    let base = match &config.http.public_url {
        Some(url) => in_script(&Value::String(url.clone())),
        None => "typeof location === 'undefined' ? '' : location.origin".to_owned(),
    };
    format!(
        "var config = {options};\n(function (base) {{\n  if (base && !config.websocket) config.websocket = \
         base.replace(/^http/, 'ws') + '/xmpp-websocket';\n}})({base});\n"
    )
}

/// Puts `over` over `under`; tables are merged, everything else replaced.
fn merge(under: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Object(under)), Value::Object(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// JSON that may stand in a script, whatever its texts hold.
fn in_script(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        script(&Config::parse(text, []).unwrap(), &Domains::of("meet.sluice"))
    }

    #[test]
    fn the_script_names_our_domains_and_the_page_s_own_host() {
        let script = written("");
        assert!(script.starts_with("var config = {"));
        assert!(script.contains("\"muc\":\"conference.meet.sluice\""));
        assert!(script.contains("location.origin"));
        assert!(!script.contains("localhost"));
    }

    #[test]
    fn a_public_url_is_named_instead() {
        let script = written("[http]\npublic_url = 'https://meet.example'");
        assert!(script.ends_with("(\"https://meet.example\");\n"));
    }

    #[test]
    fn options_win_over_our_own_and_cannot_end_the_script() {
        let script =
            written("[client.options]\ntitle = '</script>'\n[client.options.p2p]\nenabled = true\nx = 1");
        assert!(script.contains("\"p2p\":{\"enabled\":true,\"x\":1}"));
        assert!(script.contains("\\u003c/script>"));
    }
}
