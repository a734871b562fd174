//! `/config.js` and `/interface_config.js`: what web clients read before they connect. They name our own page's host, so
//! that every way to reach the server works without a setting.

use std::path::Path;

use serde_json::{Map, Value, json};
use signaling::Domains;

use crate::branding;
use crate::config::Config;
use crate::web_root::Tenant;

/// The scripts, except for what a tenant changes.
pub(crate) struct Scripts {
    options: Map<String, Value>,
    domains: Domains,
    public_url: Option<String>,
    overrides: String,
    interface: String,
}

impl Scripts {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// Says which file cannot be read.
    pub(crate) fn new(config: &Config, domains: &Domains) -> Result<Scripts, String> {
        let mut options = own_options(config, domains);
        merge(&mut options, &config.client.options);
        Ok(Scripts {
            options,
            domains: domains.clone(),
            public_url: config.http.public_url.clone(),
            overrides: read(config.web.config_overrides.as_deref())?,
            interface: interface(config)?,
        })
    }

    /// `config.js`, for one of several tenants or for those who have none.
    pub(crate) fn config(&self, tenant: Option<&Tenant>) -> String {
        let mut options = self.options.clone();
        if let Some(tenant) = tenant
            && let Some(Value::Object(hosts)) = options.get_mut("hosts")
        {
            hosts.insert("muc".to_owned(), Value::String(self.domains.muc_of(&tenant.label)));
        }
        let options = in_script(&Value::Object(options));

        // Sandboxes of mobile clients run this without a page: then only a configured URL can be named.
        let base = match &self.public_url {
            Some(url) => in_script(&Value::String(url.clone())),
            None => "typeof location === 'undefined' ? '' : location.origin".to_owned(),
        };
        let folder = tenant.map(|tenant| format!("/{}", tenant.folder)).unwrap_or_default();
        format!(
            "var config = {options};\n(function (base) {{\n  if (!base) return;\n  \
             if (!config.websocket) config.websocket = base.replace(/^http/, 'ws') + '{folder}/xmpp-websocket';\n  \
             if (!config.bosh) config.bosh = base + '{folder}/http-bind';\n  \
             if (!config.websocketKeepAliveUrl) config.websocketKeepAliveUrl = base + '/_unlock';\n\
             }})({base});\n{overrides}",
            overrides = self.overrides
        )
    }

    /// `interface_config.js`.
    pub(crate) fn interface(&self) -> &str {
        &self.interface
    }
}

/// What we say of ourselves, and defaults that suit a server of one's own: nothing is asked of third parties.
fn own_options(config: &Config, domains: &Domains) -> Map<String, Value> {
    let own = json!({
        "hosts": { "domain": domains.main, "muc": domains.muc, "focus": domains.focus },
        "focusUserJid": format!("focus@auth.{}", domains.main),
        "bridgeChannel": { "preferSctp": config.conference.websocket_url.is_none() },
        // Two people need no bridge. STUN and TURN servers come by signalling, if there are any.
        "p2p": { "enabled": true, "stunServers": [] },
        "flags": { "ssrcRewritingEnabled": true },
        "enableIceRestart": true,
        "enableOpusRed": true,
        "channelLastN": -1,
        "enableWelcomePage": true,
        "prejoinConfig": { "enabled": true },
        "analytics": { "disabled": true },
        "sluice": branding::of_client(&config.client),
    });
    let mut options = own.as_object().cloned().unwrap_or_default();
    merge(&mut options, &entrance(config, domains));
    options
}

/// The stock app's own file, if there is one, and our name.
fn interface(config: &Config) -> Result<String, String> {
    let stock = config.web.root.as_ref().map(|root| root.join("interface_config.js"));
    let stock = stock.filter(|file| file.is_file());
    let under = match stock {
        Some(file) => read(Some(&file))?,
        None => "var interfaceConfig = {};\n".to_owned(),
    };
    let name = in_script(&Value::String(config.client.app_name.clone()));
    let overrides = read(config.web.interface_config_overrides.as_deref())?;
    Ok(format!(
        "{under}\ninterfaceConfig.APP_NAME = {name};\ninterfaceConfig.NATIVE_APP_NAME = {name};\n{overrides}"
    ))
}

fn read(file: Option<&Path>) -> Result<String, String> {
    let Some(file) = file else { return Ok(String::new()) };
    std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// How clients get in, where that is not as anybody.
fn entrance(config: &Config, domains: &Domains) -> Map<String, Value> {
    let mut entrance = json!({});
    if config.auth.guests {
        entrance = json!({ "hosts": { "anonymousdomain": format!("guest.{}", domains.main), "authdomain": domains.main } });
    }
    let mut entrance = entrance.as_object().cloned().unwrap_or_default();
    if let Some(url) = config.auth.jwt.as_ref().and_then(|jwt| jwt.login_url.as_ref()) {
        entrance.insert("tokenAuthUrl".to_owned(), Value::String(url.clone()));
    }
    entrance
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

    fn scripts(text: &str) -> Scripts {
        Scripts::new(&Config::parse(text, []).unwrap(), &Domains::of("meet.sluice")).unwrap()
    }

    fn written(text: &str) -> String {
        scripts(text).config(None)
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
    fn a_tenant_has_rooms_and_paths_of_its_own() {
        let script = scripts("").config(Tenant::parse("Acme.Corp").as_ref());
        assert!(script.contains("\"muc\":\"conference.acme_corp.meet.sluice\""), "{script}");
        assert!(script.contains("'/Acme.Corp/xmpp-websocket'"), "{script}");
    }

    #[test]
    fn options_win_over_our_own_and_cannot_end_the_script() {
        let script =
            written("[client.options]\ntitle = '</script>'\n[client.options.p2p]\nenabled = false\nx = 1");
        assert!(script.contains("\"enabled\":false,\"stunServers\":[],\"x\":1"), "{script}");
        assert!(script.contains("\\u003c/script>"));
    }

    #[test]
    fn the_interface_names_the_app() {
        let scripts = scripts("[client]\napp_name = '</script>'");
        assert!(scripts.interface().starts_with("var interfaceConfig = {};"));
        assert!(scripts.interface().contains("APP_NAME = \"\\u003c/script>\""));
    }
}
