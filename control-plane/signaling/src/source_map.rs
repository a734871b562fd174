//! The sources of a conference: who sends which SSRC under which name (XEP-0339), checked before anyone is told.

use std::collections::{BTreeMap, HashMap, HashSet};

use contract::limits::{ENCODINGS_PER_SOURCE_MAX, SSRCS_PER_ENDPOINT_MAX};
use contract::session::{Media, VideoType};

/// One signalled SSRC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// RFC 3550 §3; never 0.
    pub ssrc: u32,
    /// Audio or video.
    pub media: Media,
    /// Name of the source that the SSRC belongs to: `<endpoint>-<a|v><index>`.
    pub name: String,
    /// Media stream and track (RFC 8830), if the sender told.
    pub msid: Option<String>,
    /// What it shows; [`VideoType::Camera`] for audio.
    pub video_type: VideoType,
}

/// What the SSRCs of a group are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Semantics {
    /// Simulcast layers, lowest first.
    Simulcast,
    /// A media SSRC and the RTX SSRC that repairs it (RFC 5576 §4.2, RFC 4588).
    FlowIdentification,
}

impl Semantics {
    /// The SDP spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Semantics::Simulcast => "SIM",
            Semantics::FlowIdentification => "FID",
        }
    }
}

/// An `ssrc-group` (RFC 5576 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SsrcGroup {
    /// Of what kind.
    pub semantics: Semantics,
    /// Audio or video.
    pub media: Media,
    /// In order.
    pub ssrcs: Vec<u32>,
}

/// The sources and groups of one endpoint, or a part of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSources {
    /// In the order of signalling.
    pub sources: Vec<Source>,
    /// In the order of signalling.
    pub groups: Vec<SsrcGroup>,
}

/// Why a change of sources is refused. Each is the fault of the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not a number from 1 to 2³²−1.
    #[error("SSRC out of range")]
    SsrcRange,
    /// Somebody, perhaps the sender itself, has it already.
    #[error("SSRC {0} is already in use")]
    SsrcInUse(u32),
    /// The stream and track id belongs to another source.
    #[error("msid of SSRC {0} is already in use")]
    MsidInUse(u32),
    /// More than [`SSRCS_PER_ENDPOINT_MAX`].
    #[error("too many SSRCs")]
    TooManySsrcs,
    /// More than [`GROUPS_PER_ENDPOINT_MAX`].
    #[error("too many SSRC groups")]
    TooManyGroups,
    /// A group names an SSRC that is not a source with an msid.
    #[error("group with SSRC {0}, which is no source with an msid")]
    GroupMember(u32),
    /// The SSRCs of a group differ in msid.
    #[error("group of SSRCs with different msids")]
    GroupMsid,
    /// Not two in an FID group, or more layers than are forwarded in a SIM group.
    #[error("group of a wrong size")]
    GroupSize,
    /// A name that does not start with the sender's endpoint id, or is used for audio and video.
    #[error("source name is not the sender's")]
    Name,
    /// One named source with more encodings than are forwarded.
    #[error("too many encodings of one source")]
    TooManyEncodings,
    /// Removal of what is not there.
    #[error("SSRC {0} is not a source of the sender")]
    NotFound(u32),
    /// Removal of a group that is not there.
    #[error("SSRC group is not one of the sender")]
    GroupNotFound,
}

/// Groups of one endpoint: the default of the existing focus.
pub const GROUPS_PER_ENDPOINT_MAX: usize = 20;

/// The owner of the bridge's own sources.
pub const BRIDGE_OWNER: &str = "jvb";

impl EndpointSources {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.groups.is_empty()
    }

    /// Without the higher simulcast layers: of each SIM group only the first SSRC, with its RTX, remains.
    pub fn without_simulcast(&self) -> EndpointSources {
        let simulcast = |group: &&SsrcGroup| group.semantics == Semantics::Simulcast;
        let mut dropped: HashSet<u32> = HashSet::new();
        for group in self.groups.iter().filter(simulcast) {
            dropped.extend(group.ssrcs.iter().skip(1));
        }
        for group in self.groups.iter().filter(|group| !simulcast(group)) {
            if group.ssrcs.iter().any(|ssrc| dropped.contains(ssrc)) {
                dropped.extend(&group.ssrcs);
            }
        }
        let kept = |ssrc: &u32| !dropped.contains(ssrc);
        EndpointSources {
            sources: self.sources.iter().filter(|source| kept(&source.ssrc)).cloned().collect(),
            groups: (self.groups.iter())
                .filter(|group| !simulcast(group) && group.ssrcs.iter().all(kept))
                .cloned()
                .collect(),
        }
    }

    /// Only the media types for which `keep` holds.
    pub fn only(&self, keep: impl Fn(Media) -> bool) -> EndpointSources {
        EndpointSources {
            sources: self.sources.iter().filter(|source| keep(source.media)).cloned().collect(),
            groups: self.groups.iter().filter(|group| keep(group.media)).cloned().collect(),
        }
    }

    /// What is here and not in `other`.
    pub fn minus(&self, other: &EndpointSources) -> EndpointSources {
        EndpointSources {
            sources: self.sources.iter().filter(|source| !other.sources.contains(source)).cloned().collect(),
            groups: self.groups.iter().filter(|group| !other.groups.contains(group)).cloned().collect(),
        }
    }

    /// Whether there is a source of `media`.
    pub fn sends(&self, media: Media) -> bool {
        self.sources.iter().any(|source| source.media == media)
    }

    fn find(&self, ssrc: u32) -> Option<&Source> {
        self.sources.iter().find(|source| source.ssrc == ssrc)
    }
}

/// The media SSRCs of one source, lowest layer first, each with the SSRC that repairs it.
///
/// The order is that of the SIM group if there is one; otherwise every SSRC that is not an RTX stream is an encoding of
/// its own.
pub fn encodings(ssrcs: &[u32], groups: &[SsrcGroup]) -> Vec<(u32, Option<u32>)> {
    let own = |group: &&SsrcGroup| group.ssrcs.iter().all(|ssrc| ssrcs.contains(ssrc));
    let of = |semantics| groups.iter().filter(own).filter(move |group| group.semantics == semantics);
    let repair = |media: u32| {
        of(Semantics::FlowIdentification)
            .find_map(|group| (group.ssrcs.first() == Some(&media)).then(|| group.ssrcs.get(1).copied())?)
    };
    let is_repair = |ssrc: u32| {
        of(Semantics::FlowIdentification).any(|group| group.ssrcs.iter().skip(1).any(|other| *other == ssrc))
    };
    let media: Vec<u32> = match of(Semantics::Simulcast).next() {
        Some(group) => group.ssrcs.clone(),
        None => ssrcs.iter().copied().filter(|ssrc| !is_repair(*ssrc)).collect(),
    };
    media.into_iter().map(|ssrc| (ssrc, repair(ssrc))).collect()
}

/// All sources of a conference. No SSRC ever has two owners.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    endpoints: BTreeMap<String, EndpointSources>,
    ssrc_owners: HashMap<u32, String>,
    msid_owners: HashMap<String, String>,
}

impl SourceMap {
    /// An empty map.
    pub fn new() -> SourceMap {
        SourceMap::default()
    }

    /// The sources of `owner`.
    pub fn get(&self, owner: &str) -> Option<&EndpointSources> {
        self.endpoints.get(owner)
    }

    /// All owners with their sources, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &EndpointSources)> {
        self.endpoints.iter().map(|(owner, sources)| (owner.as_str(), sources))
    }

    /// How many owners send `media`.
    pub fn senders(&self, media: Media) -> usize {
        self.endpoints.values().filter(|sources| sources.sends(media)).count()
    }

    /// Makes these SSRCs, and no others, the bridge's own, so that no endpoint can take them.
    pub fn reserve(&mut self, ssrcs: impl IntoIterator<Item = u32>) {
        self.ssrc_owners.retain(|_, owner| owner != BRIDGE_OWNER);
        for ssrc in ssrcs {
            self.ssrc_owners.entry(ssrc).or_insert_with(|| BRIDGE_OWNER.to_owned());
        }
    }

    /// Adds sources of `owner`; returns what was added (empty and repeated groups left out).
    ///
    /// # Errors
    /// A [`SourceError`], and then nothing changed.
    pub fn add(&mut self, owner: &str, added: &EndpointSources) -> Result<EndpointSources, SourceError> {
        let mut whole = self.endpoints.get(owner).cloned().unwrap_or_default();
        self.check_sources(owner, &whole, added)?;
        whole.sources.extend(added.sources.iter().cloned());
        let mut groups = Vec::new();
        for group in &added.groups {
            let repeated = whole.groups.contains(group) || groups.contains(group);
            if group.ssrcs.is_empty() || repeated {
                continue;
            }
            check_group(&whole, group)?;
            groups.push(group.clone());
        }
        whole.groups.extend(groups.iter().cloned());
        if whole.groups.len() > GROUPS_PER_ENDPOINT_MAX {
            return Err(SourceError::TooManyGroups);
        }
        check_msids(&whole)?;
        check_names(owner, &whole)?;

        for source in &added.sources {
            self.ssrc_owners.insert(source.ssrc, owner.to_owned());
            if let Some(msid) = &source.msid {
                self.msid_owners.insert(msid.clone(), owner.to_owned());
            }
        }
        if !whole.is_empty() {
            self.endpoints.insert(owner.to_owned(), whole);
        }
        Ok(EndpointSources { sources: added.sources.clone(), groups })
    }

    /// Removes sources of `owner` by SSRC, with the groups that they are in; returns all that was removed.
    ///
    /// # Errors
    /// A [`SourceError`] if anything listed is not there, and then nothing changed.
    pub fn remove(&mut self, owner: &str, removed: &EndpointSources) -> Result<EndpointSources, SourceError> {
        let nobody = EndpointSources::default();
        let whole = self.endpoints.get(owner).unwrap_or(&nobody);
        if let Some(missing) = removed.sources.iter().find(|source| whole.find(source.ssrc).is_none()) {
            return Err(SourceError::NotFound(missing.ssrc));
        }
        if removed.groups.iter().any(|group| !group.ssrcs.is_empty() && !whole.groups.contains(group)) {
            return Err(SourceError::GroupNotFound);
        }

        let gone: HashSet<u32> = removed.sources.iter().map(|source| source.ssrc).collect();
        let source_gone = |source: &&Source| gone.contains(&source.ssrc);
        let group_gone = |group: &&SsrcGroup| {
            removed.groups.contains(group) || group.ssrcs.iter().any(|ssrc| gone.contains(ssrc))
        };
        let taken = EndpointSources {
            sources: whole.sources.iter().filter(source_gone).cloned().collect(),
            groups: whole.groups.iter().filter(group_gone).cloned().collect(),
        };
        self.replace(owner, whole.minus(&taken));
        Ok(taken)
    }

    /// Removes everything of `owner` and returns it.
    pub fn remove_owner(&mut self, owner: &str) -> EndpointSources {
        let taken = self.endpoints.get(owner).cloned().unwrap_or_default();
        self.replace(owner, EndpointSources::default());
        taken
    }

    fn replace(&mut self, owner: &str, rest: EndpointSources) {
        let Some(whole) = self.endpoints.remove(owner) else { return };
        for source in &whole.sources {
            self.ssrc_owners.remove(&source.ssrc);
            if let Some(msid) = &source.msid {
                self.msid_owners.remove(msid);
            }
        }
        for source in &rest.sources {
            self.ssrc_owners.insert(source.ssrc, owner.to_owned());
            if let Some(msid) = &source.msid {
                self.msid_owners.insert(msid.clone(), owner.to_owned());
            }
        }
        if !rest.is_empty() {
            self.endpoints.insert(owner.to_owned(), rest);
        }
    }

    fn check_sources(
        &self,
        owner: &str,
        whole: &EndpointSources,
        added: &EndpointSources,
    ) -> Result<(), SourceError> {
        if whole.sources.len() + added.sources.len() > SSRCS_PER_ENDPOINT_MAX {
            return Err(SourceError::TooManySsrcs);
        }
        let mut seen = HashSet::new();
        for source in &added.sources {
            if source.ssrc == 0 {
                return Err(SourceError::SsrcRange);
            }
            if self.ssrc_owners.contains_key(&source.ssrc) || !seen.insert(source.ssrc) {
                return Err(SourceError::SsrcInUse(source.ssrc));
            }
            let other = source.msid.as_ref().and_then(|msid| self.msid_owners.get(msid));
            if other.is_some_and(|other| other != owner) {
                return Err(SourceError::MsidInUse(source.ssrc));
            }
        }
        Ok(())
    }
}

fn check_group(whole: &EndpointSources, group: &SsrcGroup) -> Result<(), SourceError> {
    let right_size = match group.semantics {
        Semantics::FlowIdentification => group.ssrcs.len() == 2,
        Semantics::Simulcast => group.ssrcs.len() <= ENCODINGS_PER_SOURCE_MAX,
    };
    let distinct: HashSet<&u32> = group.ssrcs.iter().collect();
    if !right_size || distinct.len() != group.ssrcs.len() {
        return Err(SourceError::GroupSize);
    }
    let mut msid = None;
    for ssrc in &group.ssrcs {
        let source = whole.find(*ssrc).filter(|source| source.media == group.media);
        let own = source.and_then(|source| source.msid.as_ref()).ok_or(SourceError::GroupMember(*ssrc))?;
        if *msid.get_or_insert(own) != own {
            return Err(SourceError::GroupMsid);
        }
    }
    Ok(())
}

/// SSRCs of one media type may share an msid only if groups connect them.
fn check_msids(whole: &EndpointSources) -> Result<(), SourceError> {
    let mut by_msid: HashMap<(Media, &str), Vec<u32>> = HashMap::new();
    for source in &whole.sources {
        if let Some(msid) = &source.msid {
            by_msid.entry((source.media, msid)).or_default().push(source.ssrc);
        }
    }
    for ssrcs in by_msid.values() {
        let Some((first, rest)) = ssrcs.split_first() else { continue };
        let mut connected = HashSet::from([*first]);
        // One endpoint has at most twenty groups, each of which can extend the set once.
        for _ in 0..whole.groups.len() {
            for group in &whole.groups {
                if group.ssrcs.iter().any(|ssrc| connected.contains(ssrc)) {
                    connected.extend(&group.ssrcs);
                }
            }
        }
        if let Some(alone) = rest.iter().find(|ssrc| !connected.contains(ssrc)) {
            return Err(SourceError::MsidInUse(*alone));
        }
    }
    Ok(())
}

fn check_names(owner: &str, whole: &EndpointSources) -> Result<(), SourceError> {
    let mut by_name: HashMap<&str, (Media, Vec<u32>)> = HashMap::new();
    for source in &whole.sources {
        let suffix = source.name.strip_prefix(owner).and_then(|rest| rest.strip_prefix('-'));
        let (media, ssrcs) = by_name.entry(&source.name).or_insert((source.media, Vec::new()));
        // Without a hyphen in the suffix a name tells its owner, so no two owners can have the same name.
        let well_formed =
            |suffix: &str| (1..=SUFFIX_BYTES_MAX).contains(&suffix.len()) && !suffix.contains('-');
        if !suffix.is_some_and(well_formed) || *media != source.media || owner == BRIDGE_OWNER {
            return Err(SourceError::Name);
        }
        ssrcs.push(source.ssrc);
    }
    let crowded = |ssrcs: &Vec<u32>| encodings(ssrcs, &whole.groups).len() > ENCODINGS_PER_SOURCE_MAX;
    match by_name.values().any(|(_, ssrcs)| crowded(ssrcs)) {
        true => Err(SourceError::TooManyEncodings),
        false => Ok(()),
    }
}

/// What follows the endpoint id in a source name is a letter and a small number.
const SUFFIX_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests;
