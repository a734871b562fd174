//! BOSH as any HTTP client speaks it, through the real listener.

use super::*;

const NS: &str = "xmlns='http://jabber.org/protocol/httpbind'";

/// A client with one session.
struct Client<'a> {
    server: &'a Server,
    sid: String,
    rid: u64,
}

fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!(" {name}='")).unwrap_or_default();
    rest.split('\'').next().unwrap_or_default()
}

async fn post(server: &Server, body: &str) -> String {
    send(server.public, "POST", "/http-bind?room=standup", body).await
}

impl<'a> Client<'a> {
    /// A session whose stream features have come.
    async fn open(server: &'a Server) -> Client<'a> {
        let asked = format!(
            "<body {NS} rid='1000' to='meet.sluice' wait='60' hold='1' ver='1.6' xmpp:version='1.0' \
             xmlns:xmpp='urn:xmpp:xbosh' content='text/xml; charset=utf-8' xml:lang='en'/>"
        );
        let answer = post(server, &asked).await;
        assert!(answer.contains("content-type: text/xml; charset=utf-8"), "{answer}");
        assert!(answer.contains("<mechanism>ANONYMOUS</mechanism>"), "{answer}");
        let sid = attribute(&answer, "sid").to_owned();
        assert_eq!(sid.len(), 32, "128 bits: {answer}");
        assert!(!attribute(&answer, "authid").is_empty(), "{answer}");
        Client { server, sid, rid: 1000 }
    }

    fn body(&mut self, attributes: &str, content: &str) -> String {
        self.rid += 1;
        format!("<body {NS} sid='{}' rid='{}' {attributes}>{content}</body>", self.sid, self.rid)
    }

    async fn say(&mut self, attributes: &str, content: &str) -> String {
        let body = self.body(attributes, content);
        post(self.server, &body).await
    }

    /// Signs in and binds; the address.
    async fn bind(&mut self) -> String {
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
        let answer = self.say("", auth).await;
        assert!(answer.contains("<success "), "{answer}");
        let answer = self.say("xmpp:restart='true' xmlns:xmpp='urn:xmpp:xbosh' to='meet.sluice'", "").await;
        assert!(answer.contains("<bind ") && !answer.contains("urn:xmpp:sm:3"), "{answer}");
        let bind = "<iq type='set' id='b' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        let answer = self.say("", bind).await;
        let (_, rest) = answer.split_once("<jid>").expect("bound");
        rest.split('<').next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_client_without_web_sockets_joins_a_room_and_is_told_of_others() {
    let server = server("").await;
    let mut ann = Client::open(&server).await;
    let address = ann.bind().await;
    assert!(address.contains("@meet.sluice/"), "{address}");
    let ask = "<iq type='set' id='c' to='focus.meet.sluice' xmlns='jabber:client'><conference \
               xmlns='http://jitsi.org/protocol/focus' room='standup@conference.meet.sluice' machine-uid='u'/></iq>";
    let answer = ann.say("", ask).await;
    assert!(answer.contains("ready='true'"), "{answer}");
    let join = |nick: &str| {
        format!(
            "<presence to='standup@conference.meet.sluice/{nick}' xmlns='jabber:client'>\
             <x xmlns='http://jabber.org/protocol/muc'/></presence>"
        )
    };
    let answer = ann.say("", &join("aaaaaaaa")).await;
    assert!(answer.contains("code='110'"), "{answer}");

    let waiting = ann.body("", "");
    let mut bob = Client::open(&server).await;
    bob.bind().await;
    let (news, _) = tokio::join!(post(&server, &waiting), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bob.say("", &join("bbbbbbbb")).await
    });
    assert!(news.contains("from='standup@conference.meet.sluice/bbbbbbbb'"), "{news}");

    // As a page that is closed says it, with sendBeacon.
    let gone = bob.body("type='terminate'", "<presence type='unavailable' xmlns='jabber:client'/>");
    let waiting = ann.body("", "");
    let (news, end) = tokio::join!(post(&server, &waiting), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        post(&server, &gone).await
    });
    assert!(end.contains("type='terminate'"), "{end}");
    assert!(news.contains("bbbbbbbb") && news.contains("type='unavailable'"), "{news}");
    let after = bob.say("", "").await;
    assert!(after.contains("condition='item-not-found'"), "{after}");
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let server = server("").await;
    let mut client = Client::open(&server).await;
    client.bind().await;
    let ping =
        "<iq type='get' id='p1' to='meet.sluice' xmlns='jabber:client'><ping xmlns='urn:xmpp:ping'/></iq>";
    let body = client.body("", ping);
    let (first, second) = (post(&server, &body).await, post(&server, &body).await);
    assert!(first.contains("id='p1'"), "{first}");
    assert_eq!(first.split("\r\n\r\n").nth(1), second.split("\r\n\r\n").nth(1));
}

#[tokio::test]
async fn bodies_that_are_none_and_sessions_of_others_are_refused_and_harm_nobody() {
    let server = server("").await;
    let mut client = Client::open(&server).await;
    let table = [
        ("", "bad-request"),
        ("not XML", "bad-request"),
        ("<a/>", "bad-request"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><body/>", "bad-request"),
        ("\u{FFFE}<body/>", "bad-request"),
        (&format!("<body {NS} rid='1001' sid='guess'/>"), "item-not-found"),
        (&format!("<body {NS} rid='5' to='elsewhere.example'/>"), "host-unknown"),
        (&format!("<body {NS} rid='5' to='meet.sluice'>{}</body>", "x".repeat(20_000)), "policy-violation"),
        (&"x".repeat(xmpp::bosh::BODY_BYTES_MAX + 1), "policy-violation"),
    ];
    for (body, condition) in table {
        let answer = post(&server, body).await;
        let shown = body.get(..60).unwrap_or(body);
        assert!(answer.contains(&format!("condition='{condition}'")), "{shown}: {answer}");
        assert_eq!(status_of(&answer), "200", "clients read the body only then");
    }
    client.bind().await;
    let page = get_page(server.private, "/metrics").await;
    assert!(page.contains("sluice_clients_refused_total{reason=\"body\"} 7"), "{page}");
}

#[tokio::test]
async fn pages_of_other_origins_need_a_setting() {
    let server = server("[http]\nallowed_origins = ['https://portal.example']").await;
    let ask = |method: &'static str, origin: &'static str| {
        let head = format!(
            "{method} /http-bind HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: {origin}\r\nContent-Length: 0\r\n\r\n"
        );
        let address = server.public;
        async move { exchange(address, &head).await }
    };
    for method in ["OPTIONS", "GET", "POST"] {
        let answer = ask(method, "https://portal.example").await;
        assert_eq!(status_of(&answer), "200", "{method}: {answer}");
        assert!(answer.contains("access-control-allow-origin: https://portal.example"), "{method}: {answer}");
        assert!(answer.contains("access-control-expose-headers: x-jitsi-shard"), "{method}: {answer}");
        let foreign = ask(method, "https://evil.example").await;
        assert!(!foreign.contains("access-control-allow-origin"), "{method}: {foreign}");
    }
    assert_eq!(status_of(&ask("POST", "https://evil.example").await), "403");
    for path in ["/http-bind", "/tenant/http-bind", "/_unlock", "/tenant/xmpp-websocket"] {
        assert_eq!(status_of(&get_page(server.public, path).await), "200", "{path}");
    }
}
