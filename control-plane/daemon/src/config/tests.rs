use super::*;

fn parse(text: &str) -> Result<Config, Vec<Problem>> {
    Config::parse(text, [])
}

fn with_environment(name: &str, value: &str) -> Result<Config, Vec<Problem>> {
    Config::parse("", [(name.to_owned(), value.to_owned())])
}

fn defaults() -> Config {
    parse("").expect("the reference is valid")
}

#[test]
fn the_reference_alone_is_valid_and_every_key_of_it_is_used() {
    let config = defaults();
    assert_eq!(config.http.listen, Some(SocketAddr::from(([0, 0, 0, 0], 8080))));
    assert_eq!(config.http.private, SocketAddr::from(([127, 0, 0, 1], 8888)));
    assert_eq!(config.media.port, 10_000);
    assert_eq!(config.media.workers, None);
}

#[test]
fn the_reference_itself_is_a_valid_file() {
    assert_eq!(parse(REFERENCE), Ok(defaults()));
}

#[test]
fn every_key_of_the_reference_is_commented() {
    let mut commented = false;
    for (number, line) in REFERENCE.lines().enumerate() {
        let pair = line == "key = \"\"";
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(commented || pair, "line {}: {line}", number + 1);
        }
        commented = line.starts_with('#');
    }
}

#[test]
fn a_typo_in_any_key_names_the_right_one() {
    for key in Document::reference().keys() {
        let (section, name) = key.split_once('.').unwrap();
        let mut typo: Vec<char> = name.chars().collect();
        typo.insert(1, 'q');
        let typo: String = typo.into_iter().collect();
        let text = format!("# a comment\n[{section}]\n\n{typo} = 1\n");
        let problems = parse(&text).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key.as_deref(), Some(format!("{section}.{typo}").as_str()));
        assert_eq!(problems[0].line, Some(4));
        assert!(problems[0].message.contains(&format!("`{key}`")), "{key}: {}", problems[0]);
    }
}

#[test]
fn a_wrong_type_in_any_key_is_refused() {
    for key in Document::reference().keys() {
        let (section, name) = key.split_once('.').unwrap();
        let problems = parse(&format!("[{section}]\n{name} = 1979-05-27\n")).unwrap_err();
        assert_eq!(problems[0].key.as_deref(), Some(key));
        assert_eq!(problems[0].line, Some(2));
        assert!(problems[0].message.starts_with("must be "), "{}", problems[0]);
    }
}

#[test]
fn wrong_values_are_refused_and_the_message_says_what_would_be_right() {
    let table = [
        ("[http]\nlisten = \"8080\"", "http.listen", "an IP address and a port"),
        ("[http]\nlisten = \"\"\nlisten_tls = \"\"", "http.listen", "nobody could connect"),
        ("[http]\nprivate = \"0.0.0.0:8888\"", "http.private", "http.insecure_private"),
        ("[http]\nprivate = \"\"", "http.private", "must be an address"),
        ("[http]\ncertificate = \"a.pem\"", "http.key", "go together"),
        ("[http]\nkey = \"a.pem\"", "http.certificate", "go together"),
        ("[http]\npublic_url = \"meet.example\"", "http.public_url", "http:// or https://"),
        ("[http]\nconnections_max = 0", "http.connections_max", "between 1 and"),
        ("[http]\nconnections_max = -1", "http.connections_max", "between 1 and"),
        ("[http]\nallowed_origins = [1]", "http.allowed_origins", "texts"),
        ("[media]\nport = 65536", "media.port", "between 1 and 65535"),
        ("[media]\nio = \"epoll\"", "media.io", "\"auto\", \"io_uring\", \"plain\""),
        ("[media]\naddresses = [\"eth0\"]", "media.addresses", "\"eth0\" is not an IP address"),
        (
            "[media]\naddresses = ['1.1.1.1','1.1.1.2','1.1.1.3','1.1.1.4','1.1.1.5','1.1.1.6','1.1.1.7','1.1.1.8','1.1.1.9']",
            "media.addresses",
            "more than 8",
        ),
        ("[media]\npublic_addresses = [\"10.0.0.1=::1\"]", "media.public_addresses", "one family"),
        ("[xmpp]\ndomain = \"Meet Example\"", "xmpp.domain", "lower case"),
        ("[xmpp]\ndomain = \"a..b\"", "xmpp.domain", "domain name"),
        ("[auth]\nmode = \"ldap\"", "auth.mode", "\"accounts\""),
        ("[auth]\nguests = true", "auth.guests", "everybody is a guest"),
        ("[auth]\nmode = \"token\"", "auth.mode", "jwt.secret_file, jwt.public_keys"),
        ("[auth]\nmode = 'token'\n[jwt]\nsecret_file = 's'", "jwt.issuers", "\"*\" for any"),
        (
            "[auth]\nmode = 'token'\n[jwt]\nsecret_file = 's'\njwks_url = 'https://x'",
            "jwt.jwks_url",
            "both set",
        ),
        ("[auth]\nmode = 'token'\n[jwt]\njwks_url = 'https://x'", "jwt.jwks_url", "has a shared secret"),
        (
            "[auth]\nmode = 'token'\n[jwt]\nsecret_file = 's'\nalgorithm = 'RS256'",
            "jwt.secret_file",
            "has public keys",
        ),
        ("[jwt]\nkey_server = 'http://x'", "jwt.key_server", "https://"),
        ("[jwt]\nalgorithm = 'none'", "jwt.algorithm", "\"HS256\""),
        ("[jwt]\nleeway_s = 61", "jwt.leeway_s", "between 0 and 60"),
        ("[turn]\nhost = 'turn.example'", "turn.secret_file", "secret of the TURN server"),
        ("[conference]\nwebsocket_url = \"https://x\"", "conference.websocket_url", "ws:// or wss://"),
        ("[log]\nformat = \"xml\"", "log.format", "\"text\", \"json\""),
        ("[log]\nlevel = \"info,=x=\"", "log.level", "error, warn"),
    ];
    for (text, key, part) in table {
        let problems = parse(text).unwrap_err();
        let found = problems.iter().any(|p| p.key.as_deref() == Some(key) && p.message.contains(part));
        assert!(found, "{text}: {problems:?}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let problems = parse("[http]\nlisten = \"x\"\nconnections_max = 0\n[media]\nport = 0\n").unwrap_err();
    let lines: Vec<_> = problems.iter().filter_map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 3, 5]);
}

#[test]
fn broken_toml_and_stray_keys_name_the_line() {
    for (text, line) in
        [("[http]\nlisten = \n", 2), ("[http]\n[http]\n", 2), ("listen = 'x'", 1), ("\n[htp]\na = 1", 3)]
    {
        let problems = parse(text).unwrap_err();
        assert_eq!(problems[0].line, Some(line), "{text}: {problems:?}");
    }
}

#[test]
fn good_values_arrive() {
    let config = parse(
        "[http]\nlisten = \"\"\npublic_url = \"https://meet.example/\"\n[media]\naddresses = [\"10.0.0.1\", \"::1\"]\n\
         public_addresses = [\"10.0.0.1=203.0.113.9\", \"203.0.113.8\"]\nio = \"plain\"\nworkers = 2\n\
         [client.options]\nstartWithAudioMuted = true\n",
    )
    .unwrap();
    assert_eq!(config.http.listen, None);
    assert_eq!(config.http.public_url.as_deref(), Some("https://meet.example"));
    assert_eq!(config.media.addresses.len(), 2);
    assert_eq!(config.media.public_addresses[1].local, None);
    assert_eq!((config.media.io, config.media.workers), (DatagramIo::Plain, Some(2)));
    assert_eq!(config.client.options["startWithAudioMuted"], true);
}

#[test]
fn the_environment_wins_over_the_file() {
    let variables = [
        ("SLUICE__MEDIA__PORT", "20000"),
        ("SLUICE__MEDIA__ADDRESSES", "10.0.0.1, 10.0.0.2"),
        ("PATH", "/bin"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::parse("[media]\nport = 5\npin = false\n", variables).unwrap();
    assert_eq!((config.media.port, config.media.pin, config.media.addresses.len()), (20_000, false, 2));
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    let table = [
        ("SLUICE__MEDIA__PROT", "1", "`media.port`"),
        ("SLUICE__MEDIA__PORT", "many", "a whole number"),
        ("SLUICE__MEDIA__PIN", "yes", "true or false"),
    ];
    for (name, value, part) in table {
        let problems = with_environment(name, value).unwrap_err();
        assert!(problems[0].message.contains(part), "{problems:?}");
        assert!(problems[0].message.contains(name), "{problems:?}");
    }
    let problems = with_environment("SLUICE__MEDIA__PORT", "0").unwrap_err();
    assert_eq!(problems[0].key.as_deref(), Some("media.port"));
}

#[test]
fn a_web_app_that_is_not_there_and_sources_that_are_none_are_named() {
    let table = [
        ("root = '/nowhere'", "web.root"),
        ("config_overrides = '/nowhere'", "web.config_overrides"),
        ("interface_config_overrides = '/nowhere'", "web.interface_config_overrides"),
        ("frame_ancestors = [\"* ; script-src *\"]", "web.frame_ancestors"),
    ];
    for (line, key) in table {
        let problems = parse(&format!("[web]\n{line}")).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].key.as_deref(), Some(key));
    }
}
