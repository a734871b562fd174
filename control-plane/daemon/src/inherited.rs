//! Listening sockets that the service manager opened for us (sd_listen_fds(3)): so ports below 1024 need no capability here, and
//! connections that come during a restart wait instead of being refused.

use std::net::TcpListener;

use anyhow::{Context, Result, bail};
use listenfd::ListenFd;

/// What was handed over, by the names in the socket unit (`FileDescriptorName=`).
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    /// `http`: takes the place of `http.listen`.
    pub(crate) plain: Option<TcpListener>,
    /// `https`: takes the place of `http.listen_tls`.
    pub(crate) tls: Option<TcpListener>,
}

impl Inherited {
    /// Takes what was handed over, once, before any thread starts; nothing where no service manager is.
    ///
    /// # Errors
    /// A name that is not known, a name that stands twice, or what is no TCP listener: the socket unit is wrong.
    pub(crate) fn take() -> Result<Inherited> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let mut inherited = Inherited::default();
        for (number, name) in places(sockets.len(), &names).into_iter().enumerate() {
            let listener = sockets
                .take_tcp_listener(number)
                .with_context(|| format!("the socket unit hands over `{name}`, which is no TCP listener"))?;
            let place = match name.as_str() {
                PLAIN => &mut inherited.plain,
                TLS => &mut inherited.tls,
                _ => {
                    bail!("the socket unit hands over `{name}`; FileDescriptorName= must be {PLAIN} or {TLS}")
                }
            };
            if std::mem::replace(place, listener).is_some() {
                bail!("the socket unit hands over `{name}` twice; one address each is served");
            }
        }
        Ok(inherited)
    }
}

/// The name of each socket; without names the first is plain, the second TLS.
fn places(sockets: usize, names: &str) -> Vec<String> {
    let mut names: Vec<String> =
        names.split(':').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() != sockets {
        names = [PLAIN, TLS].iter().cycle().take(sockets).map(|name| (*name).to_owned()).collect();
    }
    names
}

const PLAIN: &str = "http";
const TLS: &str = "https";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_go_by_their_names_or_by_their_order() {
        let table: [(usize, &str, &[&str]); 4] = [
            (0, "", &[]),
            (2, "https:http", &["https", "http"]),
            (2, "", &["http", "https"]),
            (1, "http:https", &["http"]),
        ];
        for (sockets, names, expected) in table {
            assert_eq!(places(sockets, names), expected, "{sockets} {names}");
        }
    }

    #[test]
    fn nothing_is_taken_where_nothing_was_handed_over() {
        let inherited = Inherited::take().unwrap();
        assert!(inherited.plain.is_none() && inherited.tls.is_none());
    }
}
