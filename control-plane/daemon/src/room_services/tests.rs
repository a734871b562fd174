use axum::body::Body;
use axum::http::Request;
use contract::Timestamp;
use tower_service::Service;

use super::*;
use crate::config::Config;
use crate::signaling_loop::queue;
use crate::supervise;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Pages in front of rooms in which people are.
struct Desk {
    router: Router,
    messages: tokio::sync::mpsc::Receiver<Message>,
    signaling: Signaling,
}

impl Desk {
    /// `people` are in the room `standup`.
    fn new(token: Option<&str>, people: &[&str]) -> Desk {
        let config = Config::parse("", []).unwrap();
        let certificate = channel::Certificate::generate().unwrap();
        let signaling = supervise::signaling_config(&config, certificate.fingerprint()).unwrap();
        let mut signaling = Signaling::new(signaling, supervise::random());
        for (number, name) in people.iter().enumerate() {
            enter(&mut signaling, number as u64, name);
        }
        let (handle, messages) = queue();
        let router = router(handle, Domains::of("meet.sluice"), token.map(Into::into));
        Desk { router, messages, signaling }
    }

    async fn ask(&mut self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Body::from(body.to_owned()))
            .unwrap();
        let mut asked = std::pin::pin!(self.router.call(request));
        let answer = loop {
            tokio::select! {
                answer = &mut asked => break answer.unwrap(),
                Some(Message::Rooms(request)) = self.messages.recv() => {
                    request.answer(&mut self.signaling, Timestamp::ZERO);
                }
            }
        };
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 64 * 1_024).await.unwrap();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}

/// Lets somebody into the room `standup`.
fn enter(signaling: &mut Signaling, number: u64, name: &str) {
    use signaling::{Input, SessionId};
    let session = SessionId(number);
    let jid = format!("{name}-uuid@meet.sluice/r").parse().unwrap();
    signaling.handle(Input::SessionOpened { session, jid, query_room: None }, Timestamp::ZERO);
    let stanzas = [
        "<iq xmlns='jabber:client' type='set' id='c' to='focus.meet.sluice'><conference \
         xmlns='http://jitsi.org/protocol/focus' room='standup@conference.meet.sluice'/></iq>"
            .to_owned(),
        format!(
            "<presence xmlns='jabber:client' to='standup@conference.meet.sluice/{name}'>\
             <x xmlns='http://jabber.org/protocol/muc'/><nick xmlns='http://jabber.org/protocol/nick'>The {name}</nick>\
             <email>{name}@corp.example</email></presence>"
        ),
    ];
    for stanza in stanzas {
        let stanza = xmpp::parse(&stanza).unwrap();
        signaling.handle(Input::Stanza { session, stanza }, Timestamp::ZERO);
    }
    while signaling.poll_output().is_some() {}
}

#[tokio::test]
async fn sizes_people_and_the_census_are_told() {
    let mut desk = Desk::new(None, &["ann", "bob"]);
    let people = r#"[{"display_name":"The ann","email":"ann@corp.example","jid":"standup@conference.meet.sluice/ann"},{"display_name":"The bob","email":"bob@corp.example","jid":"standup@conference.meet.sluice/bob"}]"#;
    let rows = [
        ("/room-size?room=standup", 200, r#"{"participants":2}"#),
        ("/room-size?room=standup&domain=meet.sluice&subdomain=", 200, r#"{"participants":2}"#),
        ("/room-size?room=standup&subdomain=acme", 404, "there is no such room\n"),
        ("/room-size?room=other", 404, "there is no such room\n"),
        ("/room-size?room=standup&domain=elsewhere.example", 400, "there can be no such room\n"),
        ("/room-size?room=a%40b%40c", 400, "there can be no such room\n"),
        ("/room-size?room=", 400, "there can be no such room\n"),
        ("/room?room=STANDUP", 200, people),
        ("/sessions", 200, "2"),
    ];
    for (path, status, body) in rows {
        assert_eq!(desk.ask("GET", path, "", "").await, (status, body.to_owned()), "{path}");
    }
    let (status, census) = desk.ask("GET", "/room-census", "", "").await;
    assert_eq!(status, 200);
    let census: Value = serde_json::from_str(&census).unwrap();
    let room = &census["room_census"][0];
    assert_eq!(room["room_name"], "standup@conference.meet.sluice");
    assert_eq!(room["participants"], 2);
    assert!(room["created_time"].as_u64().unwrap() > 1_700_000_000_000);
    assert_eq!(census["room_census"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn meetings_are_ended_and_people_removed_by_the_bearer_of_the_token_alone() {
    let mut desk = Desk::new(Some(TOKEN), &["ann", "bob"]);
    let end = "/end-meeting?conference=standup@conference.meet.sluice";
    let kick = "/kick-participant?room=standup";
    let bob = r#"{"participantId":"bob"}"#;
    for token in ["", "a-token-that-nobody-guesseS", "a-token", "a-token-that-nobody-guesses2"] {
        assert_eq!(desk.ask("POST", end, token, "").await.0, 401, "{token}");
        assert_eq!(desk.ask("PUT", kick, token, bob).await.0, 401, "{token}");
    }
    let rows = [
        ("PUT", kick, r#"{"participantId":"focus"}"#, 404),
        ("PUT", kick, r#"{"participantId":"cid"}"#, 404),
        ("PUT", kick, r#"{"number":"123"}"#, 400),
        ("PUT", kick, "{", 400),
        ("PUT", "/kick-participant?room=other", bob, 404),
        ("PUT", kick, bob, 200),
        ("PUT", kick, bob, 404),
        ("GET", "/room-size?room=standup", "", 200),
        ("POST", "/end-meeting?conference=other@conference.meet.sluice", "", 404),
        ("POST", "/end-meeting?conference=@", "", 400),
        ("POST", "/end-meeting", "", 400),
        ("POST", end, "", 200),
        ("POST", end, "", 404),
        ("GET", "/room-size?room=standup", "", 404),
    ];
    for (method, path, body, status) in rows {
        assert_eq!(desk.ask(method, path, TOKEN, body).await.0, status, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn without_a_token_in_the_settings_nobody_ends_a_meeting_whatever_it_bears() {
    let mut desk = Desk::new(None, &["ann"]);
    for token in ["", TOKEN] {
        let (status, text) =
            desk.ask("POST", "/end-meeting?conference=standup@conference.meet.sluice", token, "").await;
        assert_eq!(status, 403);
        assert!(text.contains("http.room_services_token_file"), "{text}");
    }
    assert_eq!(desk.ask("GET", "/room-size?room=standup", "", "").await.0, 200);
}

#[tokio::test]
async fn the_pages_are_off_unless_the_settings_want_them_and_a_short_token_is_refused() {
    let (handle, _messages) = queue();
    assert!(from_settings(&Config::parse("", []).unwrap(), &handle).unwrap().is_none());
    let on = Config::parse("[http]\nroom_services = true", []).unwrap();
    assert!(from_settings(&on, &handle).unwrap().is_some());
    let file = std::env::temp_dir().join(format!("sluice-room-token-{}", std::process::id()));
    std::fs::write(&file, "short\n").unwrap();
    let error = token_in(&file).unwrap_err().to_string();
    assert!(error.contains("could be guessed"), "{error}");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    assert_eq!(&*token_in(&file).unwrap(), TOKEN);
    std::fs::remove_file(&file).unwrap();
}
