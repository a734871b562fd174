//! What the loop remembers of each endpoint on the media plane: its names, which the focus forgets before the media plane has
//! let go of it, and what was last said of what it is sent.

use std::collections::HashMap;

use contract::EndpointId;

/// Every endpoint from its seat to its end.
#[derive(Debug, Default)]
pub(super) struct Endpoints(HashMap<EndpointId, Endpoint>);

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    /// Address of its room; empty if it had none when it was seated.
    pub(super) conference: String,
    /// Its nickname there.
    pub(super) id: String,
    /// Video sources that it is sent.
    pub(super) forwarded: usize,
    /// Bandwidth towards it, in bit/s, if it was told.
    pub(super) bandwidth: Option<u64>,
}

impl Endpoints {
    /// It has a seat, or a new transport.
    pub(super) fn ready(&mut self, endpoint: EndpointId, (conference, id): (&str, &str)) {
        let entry = self.0.entry(endpoint).or_default();
        if entry.id.is_empty() {
            (entry.conference, entry.id) = (conference.to_owned(), id.to_owned());
        }
    }

    /// It is no more; what was known of it.
    pub(super) fn expired(&mut self, endpoint: EndpointId) -> Endpoint {
        self.0.remove(&endpoint).unwrap_or_default()
    }

    /// It, if it has a seat.
    pub(super) fn get(&self, endpoint: EndpointId) -> Option<&Endpoint> {
        self.0.get(&endpoint)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, endpoint: EndpointId) -> Option<&mut Endpoint> {
        self.0.get_mut(&endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_its_names_until_the_media_plane_let_go_of_it() {
        let mut endpoints = Endpoints::default();
        let ann = EndpointId(7);
        endpoints.ready(ann, ("standup@conference.meet.example", "a1b2c3d4"));
        // With a new transport, when nobody knows it any more.
        endpoints.ready(ann, ("", ""));
        let gone = endpoints.expired(ann);
        assert_eq!(
            (gone.conference.as_str(), gone.id.as_str()),
            ("standup@conference.meet.example", "a1b2c3d4")
        );
        assert!(endpoints.get(ann).is_none());
        assert_eq!(endpoints.expired(ann).id, "");
    }
}
