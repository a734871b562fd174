//! Polls: anybody asks, everybody answers, those who come later see both.

use serde_json::{Value, json};

use crate::stanza_error::Refusal;

/// The polls of one room, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Polls(Vec<Poll>);

#[derive(Debug)]
struct Poll {
    id: String,
    sender: Person,
    question: String,
    options: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    name: String,
    voters: Vec<Person>,
}

/// Who asks or answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// Nickname.
    pub(crate) nick: String,
    /// Display name.
    pub(crate) name: String,
}

impl Polls {
    /// Takes a command of `person`. What everybody is to be told; nothing if the vote is what it was.
    pub(crate) fn take(&mut self, person: &Person, command: &Value) -> Result<Option<Value>, Refusal> {
        if command.to_string().len() > COMMAND_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let id = text(command, "pollId").filter(|id| !id.is_empty()).ok_or(Refusal::Malformed)?;
        match text(command, "command") {
            Some("new-poll") => self.ask(person, id, command).map(Some),
            Some("answer-poll") => self.answer(person, id, command),
            _ => Err(Refusal::Malformed),
        }
    }

    /// Everything so far, for someone who came in; nothing if there were no polls.
    pub(crate) fn history(&self) -> Option<Value> {
        let voters = |voters: &[Person]| -> Vec<Value> {
            voters.iter().map(|voter| json!({ "id": voter.nick, "name": voter.name })).collect()
        };
        let options = |poll: &Poll| -> Vec<Value> {
            let options = poll.options.iter();
            options.map(|option| json!({ "name": option.name, "voters": voters(&option.voters) })).collect()
        };
        let polls: Vec<Value> = self
            .0
            .iter()
            .map(|poll| {
                json!({
                    "pollId": poll.id, "senderId": poll.sender.nick, "senderName": poll.sender.name,
                    "question": poll.question, "answers": options(poll),
                })
            })
            .collect();
        (!polls.is_empty()).then(|| json!({ "type": TYPE, "command": "old-polls", "polls": polls }))
    }

    fn ask(&mut self, person: &Person, id: &str, command: &Value) -> Result<Value, Refusal> {
        let question = text(command, "question").ok_or(Refusal::Malformed)?;
        let options = command.get("answers").and_then(Value::as_array).ok_or(Refusal::Malformed)?;
        let names: Option<Vec<&str>> = options.iter().map(|option| text(option, "name")).collect();
        let names = names.filter(|names| !names.is_empty()).ok_or(Refusal::Malformed)?;
        if self.0.iter().any(|poll| poll.id == id) {
            return Err(Refusal::PollExists);
        }
        if self.0.len() >= POLLS_MAX || names.len() > OPTIONS_MAX {
            return Err(Refusal::TooMany);
        }
        let told = json!({
            "type": TYPE, "command": "new-poll", "pollId": id, "senderId": person.nick, "senderName": person.name,
            "question": question, "answers": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        });
        self.0.push(Poll {
            id: id.to_owned(),
            sender: person.clone(),
            question: question.to_owned(),
            options: names
                .into_iter()
                .map(|name| Choice { name: name.to_owned(), voters: Vec::new() })
                .collect(),
        });
        Ok(told)
    }

    fn answer(&mut self, person: &Person, id: &str, command: &Value) -> Result<Option<Value>, Refusal> {
        let poll = self.0.iter_mut().find(|poll| poll.id == id).ok_or(Refusal::NoSuchPoll)?;
        let answers = command.get("answers").and_then(Value::as_array).ok_or(Refusal::Malformed)?;
        let answers: Option<Vec<bool>> = answers.iter().map(Value::as_bool).collect();
        let answers = answers.filter(|answers| answers.len() == poll.options.len());
        let answers = answers.ok_or(Refusal::Malformed)?;
        let mut changed = false;
        for (option, chosen) in poll.options.iter_mut().zip(&answers) {
            let at = option.voters.iter().position(|voter| voter.nick == person.nick);
            match (at, *chosen) {
                (None, true) if option.voters.len() >= VOTERS_MAX => return Err(Refusal::TooMany),
                (None, true) => option.voters.push(person.clone()),
                (Some(at), false) => {
                    option.voters.remove(at);
                }
                _ => continue,
            }
            changed = true;
        }
        let told = json!({
            "type": TYPE, "command": "answer-poll", "pollId": id, "senderId": person.nick, "senderName": person.name,
            "answers": answers,
        });
        Ok(changed.then_some(told))
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// The `type` of its messages.
const TYPE: &str = "polls";
/// Polls of one room, as the existing service has it.
const POLLS_MAX: usize = 128;
/// Bytes of a command; clients limit questions and options far below.
const COMMAND_BYTES_MAX: usize = 4 * 1_024;
/// Choices of one poll.
const OPTIONS_MAX: usize = 64;
/// People that one choice remembers.
const VOTERS_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn person(nick: &str) -> Person {
        Person { nick: nick.into(), name: nick.to_uppercase() }
    }

    fn lunch() -> Value {
        json!({ "type": "polls", "command": "new-poll", "pollId": "k", "question": "Lunch?",
                "answers": [{ "name": "12" }, { "name": "13" }] })
    }

    fn vote(answers: Value) -> Value {
        json!({ "type": "polls", "command": "answer-poll", "pollId": "k", "answers": answers })
    }

    #[test]
    fn a_question_and_its_answers_are_told_and_kept_for_later() {
        let mut polls = Polls::default();
        assert_eq!(polls.history(), None);
        let told = polls.take(&person("ann"), &lunch()).unwrap().unwrap();
        assert_eq!((&told["senderId"], &told["answers"][1]["name"]), (&json!("ann"), &json!("13")));
        let told = polls.take(&person("bob"), &vote(json!([true, false]))).unwrap().unwrap();
        assert_eq!((&told["senderId"], &told["senderName"]), (&json!("bob"), &json!("BOB")));
        assert_eq!(polls.take(&person("bob"), &vote(json!([true, false]))), Ok(None), "the same vote again");
        polls.take(&person("bob"), &vote(json!([false, true]))).unwrap().unwrap();
        let history = polls.history().unwrap();
        assert_eq!(history["polls"][0]["answers"][0]["voters"], json!([]));
        assert_eq!(history["polls"][0]["answers"][1]["voters"], json!([{ "id": "bob", "name": "BOB" }]));
    }

    #[test]
    fn what_is_wrong_is_refused_and_changes_nothing() {
        let mut polls = Polls::default();
        polls.take(&person("ann"), &lunch()).unwrap();
        let before = polls.history();
        let rows = [
            (lunch(), Refusal::PollExists),
            (vote(json!([true])), Refusal::Malformed),
            (vote(json!(["yes", "no"])), Refusal::Malformed),
            (json!({ "command": "answer-poll", "pollId": "other", "answers": [] }), Refusal::NoSuchPoll),
            (
                json!({ "command": "new-poll", "pollId": "n", "question": "?", "answers": [] }),
                Refusal::Malformed,
            ),
            (
                json!({ "command": "new-poll", "question": "?", "answers": [{ "name": "a" }] }),
                Refusal::Malformed,
            ),
            (json!({ "command": "drop", "pollId": "k" }), Refusal::Malformed),
            (
                json!({ "command": "new-poll", "pollId": "n", "question": "x".repeat(9_000) }),
                Refusal::TooLarge,
            ),
        ];
        for (command, refusal) in rows {
            assert_eq!(polls.take(&person("bob"), &command), Err(refusal), "{command}");
        }
        assert_eq!(polls.history(), before);
    }

    #[test]
    fn a_room_has_a_limited_number_of_polls() {
        let mut polls = Polls::default();
        let mut ask = |i: usize| {
            let mut poll = lunch();
            poll["pollId"] = i.to_string().into();
            polls.take(&person("ann"), &poll)
        };
        assert!((0..POLLS_MAX).all(|i| ask(i).is_ok()));
        assert_eq!(ask(POLLS_MAX), Err(Refusal::TooMany));
    }
}
