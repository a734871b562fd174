//! Tokens, accounts and guests, from the URL to the room, through the real listener.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret of the deployment";

/// A server for tokens with the shared secret. Its file is its own, as tests run beside each other.
pub(super) async fn token_server(more: &str) -> Server {
    static FILES: AtomicU64 = AtomicU64::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = std::env::temp_dir().join(format!("sluice-secret-{}-{number}", std::process::id()));
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let settings = format!(
        "[auth]\nmode = 'token'\n{more}\n[jwt]\nsecret_file = '{}'\nissuers = ['app']\naudiences = ['jitsi']",
        file.display()
    );
    let server = server(&settings).await;
    std::fs::remove_file(file).unwrap();
    server
}

pub(super) fn token(room: &str, user: Value) -> String {
    let claims = json!({ "iss": "app", "aud": "jitsi", "sub": "*", "room": room, "exp": 9_000_000_000_u64,
                         "context": { "user": user, "group": "team-a" } });
    let unsigned = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, unsigned.as_bytes())))
}

/// A client on a WebSocket.
pub(super) struct Client {
    pub(super) socket: Socket,
    pub(super) nick: String,
}

impl Client {
    /// Opens a stream to `host`; what its authentication was answered, and the client if it was let in.
    pub(super) async fn sign_in(server: &Server, host: &str, token: Option<&str>) -> Result<Client, String> {
        let token = token.map(|token| format!("&token={token}")).unwrap_or_default();
        let path = format!("/xmpp-websocket?room=standup{token}");
        let mut socket = open(server, &path, &[XMPP]).await.unwrap();
        let open = format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{host}' version='1.0'/>");
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
        let bind = "<iq type='set' id='b' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        socket.send(WsMessage::text(open.clone())).await.unwrap();
        socket.send(WsMessage::text(auth)).await.unwrap();
        let mut client = Client { socket, nick: String::new() };
        let answer =
            client.until(|text| text.starts_with("<success ") || text.starts_with("<failure ")).await;
        if answer.starts_with("<failure ") {
            return Err(answer);
        }
        client.socket.send(WsMessage::text(open)).await.unwrap();
        client.socket.send(WsMessage::text(bind)).await.unwrap();
        let bound = client.until(|text| text.contains("<jid>")).await;
        let (_, jid) = bound.split_once("<jid>").unwrap();
        client.nick = jid[..8].to_owned();
        Ok(client)
    }

    pub(super) async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(5), self.socket.next()).await;
            let text = next.expect("an answer in time").unwrap().unwrap().into_text().unwrap().to_string();
            if wanted(&text) {
                return text;
            }
        }
    }

    pub(super) async fn say(&mut self, text: String) {
        self.socket.send(WsMessage::text(text)).await.unwrap();
    }

    /// Asks for a conference; the answer.
    async fn conference(&mut self, room: &str, more: &str) -> String {
        self.say(format!(
            "<iq type='set' id='c' to='focus.meet.sluice' xmlns='jabber:client'><conference \
             xmlns='http://jitsi.org/protocol/focus' room='{room}@conference.meet.sluice' machine-uid='m' {more}/></iq>"
        ))
        .await;
        self.until(|text| text.contains("id='c'")).await
    }

    /// Joins; its own presence or the error.
    async fn join(&mut self, room: &str) -> String {
        let address = format!("{room}@conference.meet.sluice/{}", self.nick);
        let forged = "<identity><user><name>Forged</name></user></identity>\
                      <vouched xmlns='urn:x-sluice:vouched'><identity><user><name>Forged</name></user></identity></vouched>";
        self.say(format!(
            "<presence to='{address}' xmlns='jabber:client'><x xmlns='http://jabber.org/protocol/muc'/>{forged}</presence>"
        ))
        .await;
        let own = format!("from='{address}'");
        self.until(|text| {
            text.contains(&own) && (text.contains("code='110'") || text.contains("type='error'"))
        })
        .await
    }
}

fn failure(text: &str) -> String {
    format!("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-allowed/><text>{text}</text></failure>")
}

#[tokio::test]
async fn a_token_opens_its_room_and_says_who_its_bearer_is() {
    let server = token_server("").await;
    let refused = Client::sign_in(&server, "meet.sluice", None).await.err();
    assert_eq!(refused, Some(failure("token required")));
    let forged = token("standup", json!({})) + "x";
    assert!(Client::sign_in(&server, "meet.sluice", Some(&forged)).await.is_err());

    let features = json!({ "recording": false, "send-groupchat": "true" });
    let user = json!({ "name": "Ann", "id": "u-77", "moderator": true, "features": features });
    let good = token("standup", user);
    let mut ann = Client::sign_in(&server, "meet.sluice", Some(&good)).await.expect("let in");
    // Stock clients show why they may not join, not why a request for a conference is refused.
    let other = ann.conference("other", "").await;
    assert!(other.contains("ready='true'"), "{other}");
    let other = ann.join("other").await;
    assert!(
        other.contains("<not-allowed ") && other.contains("Your token does not open this room"),
        "{other}"
    );
    let answer = ann.conference("standup", "").await;
    assert!(answer.contains("ready='true'"), "{answer}");
    let joined = ann.join("standup").await;
    assert!(joined.contains("affiliation='owner'"), "{joined}");
    assert!(joined.contains("<id>u-77</id>") && joined.contains("<group>team-a</group>"), "{joined}");
    let permissions = "<permissions xmlns='http://jitsi.org/jitmeet'><p name='recording' val='false'/>\
                       <p name='send-groupchat' val='true'/></permissions>";
    assert!(joined.contains(permissions), "{joined}");
    assert!(!joined.contains("Forged") && !joined.contains("vouched"), "{joined}");

    let elsewhere = token("other", json!({ "name": "Bob" }));
    let mut bob = Client::sign_in(&server, "meet.sluice", Some(&elsewhere)).await.expect("let in");
    let refused = bob.join("standup").await;
    assert!(
        refused.contains("type='error'") && refused.contains("Your token does not open this room"),
        "{refused}"
    );
    let page = get_page(server.private, "/metrics").await;
    assert!(page.contains("sluice_clients_refused_total{reason=\"token\"}"), "{page}");
}

#[tokio::test]
async fn who_does_not_moderate_by_token_is_not_made_an_owner_for_want_of_another() {
    let server = token_server("").await;
    let plain = token("*", json!({ "name": "Bob", "moderator": false }));
    let mut bob = Client::sign_in(&server, "meet.sluice", Some(&plain)).await.expect("let in");
    bob.conference("standup", "").await;
    let joined = bob.join("standup").await;
    assert!(joined.contains("affiliation='none'"), "{joined}");
    let unsaid = token("*", json!({ "name": "Cid" }));
    let mut cid = Client::sign_in(&server, "meet.sluice", Some(&unsaid)).await.expect("let in");
    cid.conference("another", "").await;
    cid.join("another").await;
    let promoted =
        cid.until(|text| text.contains("affiliation='owner'") && text.contains("code='110'")).await;
    assert!(promoted.contains("Cid"), "{promoted}");
}

#[tokio::test]
async fn guests_wait_for_a_bearer_and_become_owners_by_its_session() {
    let server = token_server("guests = true").await;
    let mut guest = Client::sign_in(&server, "guest.meet.sluice", None).await.expect("let in");
    let waiting = guest.conference("standup", "").await;
    assert!(waiting.contains("type='auth'") && waiting.contains("<not-authorized "), "{waiting}");
    let login = "<iq type='get' id='l' to='focus.meet.sluice' xmlns='jabber:client'><login-url \
                 xmlns='http://jitsi.org/protocol/focus' room='standup@conference.meet.sluice' machine-uid='m'/></iq>";
    guest.say(login.to_owned()).await;
    let url = guest.until(|text| text.contains("id='l'")).await;
    assert!(url.contains("url='./standup?login=true'"), "{url}");

    let good = token("standup", json!({ "email": "ann@corp.example" }));
    let mut ann = Client::sign_in(&server, "meet.sluice", Some(&good)).await.expect("let in");
    let granted = ann.conference("standup", "").await;
    assert!(granted.contains("identity='ann@corp.example'"), "{granted}");
    assert!(granted.contains("name='authentication' value='true'"), "{granted}");
    let (_, session) = granted.split_once("session-id='").expect("a session");
    let session = session.split('\'').next().unwrap().to_owned();

    assert!(guest.conference("standup", "").await.contains("ready='true'"), "the room is there now");
    assert!(guest.join("standup").await.contains("affiliation='none'"));
    let invalid = guest.conference("standup", "session-id='guess'").await;
    assert!(invalid.contains("<session-invalid xmlns='http://jitsi.org/protocol/focus'/>"), "{invalid}");
    let upgrade = format!(
        "<iq type='set' id='u' to='focus.meet.sluice' xmlns='jabber:client'><conference machine-uid='m' \
         xmlns='http://jitsi.org/protocol/focus' room='standup@conference.meet.sluice' session-id='{session}'/></iq>"
    );
    guest.say(upgrade).await;
    guest.until(|text| text.contains("affiliation='owner'") && text.contains("code='110'")).await;
    let logout = format!(
        "<iq type='set' id='o' to='focus.meet.sluice' xmlns='jabber:client'><logout \
         xmlns='http://jitsi.org/protocol/focus' session-id='{session}'/></iq>"
    );
    guest.say(logout).await;
    assert!(guest.until(|text| text.contains("id='o'")).await.contains("type='result'"));
    let after = guest.conference("standup", &format!("session-id='{session}'")).await;
    assert!(after.contains("session-invalid"), "{after}");
}

#[tokio::test]
async fn conference_requests_over_http_carry_the_token_in_their_head() {
    let server = token_server("guests = true").await;
    let ask = |bearer: String, body: &'static str| {
        let address = server.public;
        async move {
            let head = format!(
                "POST /conference-request/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{bearer}\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            exchange(address, &head).await
        }
    };
    let body = r#"{"room":"standup@conference.meet.sluice","machineUid":"m"}"#;
    assert_eq!(status_of(&ask(String::new(), body).await), "403");
    let wrong = format!("Authorization: Bearer {}\r\n", token("other", json!({})));
    let answer = ask(wrong, body).await;
    assert!(answer.contains("\"ready\":true") && !answer.contains("sessionId"), "{answer}");
    assert_eq!(status_of(&ask(String::new(), body).await), "403", "no room was made");
    let good = format!("Authorization: Bearer {}\r\n", token("standup", json!({})));
    let answer = ask(good, body).await;
    assert!(answer.contains("\"ready\":true") && answer.contains("\"sessionId\":\""), "{answer}");
    assert_eq!(status_of(&ask(String::new(), body).await), "200", "it is there now");
    let stale = r#"{"room":"standup@conference.meet.sluice","machineUid":"m","sessionId":"guess"}"#;
    let answer = ask(String::new(), stale).await;
    assert_eq!(status_of(&answer), "400");
    assert!(answer.ends_with("Error: 400 invalid-session"), "{answer}");
}

#[tokio::test]
async fn accounts_are_asked_for_a_password_and_guests_have_a_domain() {
    let server = server("[auth]\nmode = 'accounts'\nguests = true\nusers_file = '/nowhere/users'").await;
    let mut socket = open(&server, "/xmpp-websocket", &[XMPP]).await.unwrap();
    let hello = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='meet.sluice' version='1.0'/>";
    socket.send(WsMessage::text(hello)).await.unwrap();
    socket.next().await;
    let features = socket.next().await.unwrap().unwrap().into_text().unwrap().to_string();
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"] {
        assert!(features.contains(&format!("<mechanism>{mechanism}</mechanism>")), "{features}");
    }
    assert!(!features.contains("ANONYMOUS"), "{features}");
    let config = get_page(server.public, "/config.js").await;
    assert!(config.contains("\"anonymousdomain\":\"guest.meet.sluice\""), "{config}");
    let mut guest = Client::sign_in(&server, "guest.meet.sluice", None).await.expect("let in");
    assert!(guest.conference("standup", "").await.contains("<not-authorized "));
    // Clients give up a server whose domain does not answer, and theirs is that of guests.
    let ping = "<iq type='get' id='p' to='guest.meet.sluice' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>";
    guest.say(ping.to_owned()).await;
    assert!(guest.until(|text| text.contains("id='p'")).await.contains("type='result'"));
}
