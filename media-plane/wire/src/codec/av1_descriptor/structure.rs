//! Template dependency structures (appendix A.8.2 to A.8.4): what the frames of a stream may depend on.

use super::bits::Reader;
use super::{
    DECODE_TARGETS_MAX, EXTENDED_BITS, FRAME_DIFFS_MAX, Mandatory, SPATIAL_LAYERS_MAX, TEMPLATE_ID_MASK,
    TEMPLATES_MAX, TEMPORAL_LAYERS_MAX,
};
use crate::codec::Malformed;

/// What a frame depends on and is good for, be it told by template or by the packet itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameDependency {
    /// Spatial layer, 0..=3.
    pub sid: u8,
    /// Temporal layer, 0..=7.
    pub tid: u8,
    /// Decode targets (bit n: target n) that the frame is part of: all but "not present".
    pub present: u32,
    /// Targets for which the frame is a switch point ("S").
    pub switch: u32,
    /// Targets for which the frame is required ("R").
    pub required: u32,
    /// Targets for which the frame is discardable ("D").
    pub discardable: u32,
    /// Distances in frame numbers to the frames referred to; zero beyond `frame_diff_count`.
    pub frame_diffs: [u16; FRAME_DIFFS_MAX],
    /// How many of `frame_diffs` count.
    pub frame_diff_count: u8,
    /// For each chain the distance to its previous frame; zero beyond the structure's chain count.
    pub chain_diffs: [u8; DECODE_TARGETS_MAX],
}

impl FrameDependency {
    /// Distances to the frames referred to.
    pub fn frame_diffs(&self) -> &[u16] {
        self.frame_diffs.get(..usize::from(self.frame_diff_count)).unwrap_or_default()
    }

    /// Read a decode target indication of two bits for each target.
    pub(super) fn read_indications(&mut self, reader: &mut Reader<'_>, targets: u8) -> Result<(), Malformed> {
        (self.present, self.switch, self.required, self.discardable) = (0, 0, 0, 0);
        for target in 0..u32::from(targets) {
            let bit = 1 << target;
            match reader.bits(2)? {
                0 => continue,
                1 => self.discardable |= bit,
                2 => self.switch |= bit,
                _ => self.required |= bit,
            }
            self.present |= bit;
        }
        Ok(())
    }

    /// Add a difference, told as one less.
    pub(super) fn push_frame_diff(&mut self, minus_one: u32) -> Result<(), Malformed> {
        let slot = self.frame_diffs.get_mut(usize::from(self.frame_diff_count)).ok_or(Malformed::TooLarge)?;
        *slot = u16::try_from(minus_one + 1).map_err(|_| Malformed::Invalid)?;
        self.frame_diff_count += 1;
        Ok(())
    }

    /// Read `frame_fdiffs()` in place of the template's.
    pub(super) fn read_frame_diffs(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        (self.frame_diffs, self.frame_diff_count) = ([0; FRAME_DIFFS_MAX], 0);
        loop {
            // In units of four bits; 0 ends the list.
            let size = reader.bits(2)?;
            if size == 0 {
                return Ok(());
            }
            let diff = reader.bits(4 * size)?;
            self.push_frame_diff(diff)?;
        }
    }

    /// Read `frame_chains()` in place of the template's.
    pub(super) fn read_chain_diffs(&mut self, reader: &mut Reader<'_>, chains: u8) -> Result<(), Malformed> {
        for diff in self.chain_diffs.iter_mut().take(usize::from(chains)) {
            *diff = reader.small(8)?;
        }
        Ok(())
    }
}

/// A template dependency structure: sent with key frames, needed to read what follows. Owned by the caller, some 4 KiB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    template_id_offset: u8,
    template_count: u8,
    decode_target_count: u8,
    chain_count: u8,
    max_sid: u8,
    max_tid: u8,
    templates: [FrameDependency; TEMPLATES_MAX],
    protected_by: [u8; DECODE_TARGETS_MAX],
    target_layers: [(u8, u8); DECODE_TARGETS_MAX],
    resolutions: [(u16, u16); SPATIAL_LAYERS_MAX],
    resolution_count: u8,
}

impl Default for Structure {
    fn default() -> Self {
        Self {
            template_id_offset: 0,
            template_count: 0,
            decode_target_count: 0,
            chain_count: 0,
            max_sid: 0,
            max_tid: 0,
            templates: [FrameDependency::default(); TEMPLATES_MAX],
            protected_by: [0; DECODE_TARGETS_MAX],
            target_layers: [(0, 0); DECODE_TARGETS_MAX],
            resolutions: [(0, 0); SPATIAL_LAYERS_MAX],
            resolution_count: 0,
        }
    }
}

impl Structure {
    /// Replace this structure by the one attached to a descriptor (see [`super::Descriptor::has_structure`]). On an error it is
    /// left empty, and no descriptor can be read with it.
    pub fn read(&mut self, data: &[u8]) -> Result<(), Malformed> {
        *self = Self::default();
        if !Mandatory::parse(data)?.has_structure {
            return Err(Malformed::UnknownStructure);
        }
        let read = self.fill(&mut Reader::new(data, EXTENDED_BITS));
        if read.is_err() {
            *self = Self::default();
        }
        read
    }

    /// Id of the first template; ids run on from it modulo 64.
    pub fn template_id_offset(&self) -> u8 {
        self.template_id_offset
    }

    /// The templates, in the order of their ids.
    pub fn templates(&self) -> &[FrameDependency] {
        self.templates.get(..usize::from(self.template_count)).unwrap_or_default()
    }

    /// 1..=32; 0 in an empty structure.
    pub fn decode_target_count(&self) -> u8 {
        self.decode_target_count
    }

    /// All decode targets, bit n for target n.
    pub fn all_targets(&self) -> u32 {
        u32::MAX.checked_shr(32 - u32::from(self.decode_target_count)).unwrap_or(0)
    }

    /// 0..=32.
    pub fn chain_count(&self) -> u8 {
        self.chain_count
    }

    /// The chain that protects a decode target.
    pub fn protected_by(&self, target: u8) -> Option<u8> {
        let index = usize::from(target);
        (target < self.decode_target_count && self.chain_count > 0)
            .then(|| self.protected_by.get(index).copied())?
    }

    /// The highest (spatial, temporal) layer of a decode target.
    pub fn target_layer(&self, target: u8) -> Option<(u8, u8)> {
        let index = usize::from(target);
        (target < self.decode_target_count).then(|| self.target_layers.get(index).copied())?
    }

    /// The highest spatial layer of any template.
    pub fn max_sid(&self) -> u8 {
        self.max_sid
    }

    /// The highest temporal layer of any template.
    pub fn max_tid(&self) -> u8 {
        self.max_tid
    }

    /// Width and height of each spatial layer; empty if not told.
    pub fn resolutions(&self) -> &[(u16, u16)] {
        self.resolutions.get(..usize::from(self.resolution_count)).unwrap_or_default()
    }

    /// The template that an id stands for.
    pub(super) fn template(&self, id: u8) -> Option<&FrameDependency> {
        let index = id.wrapping_sub(self.template_id_offset) & TEMPLATE_ID_MASK;
        self.templates().get(usize::from(index))
    }

    /// Read `template_dependency_structure()` into an empty structure.
    pub(super) fn fill(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        self.template_id_offset = reader.small(6)?;
        self.decode_target_count = reader.small(5)? + 1;
        self.fill_layers(reader)?;
        let (targets, count) = (self.decode_target_count, usize::from(self.template_count));
        for template in self.templates.iter_mut().take(count) {
            template.read_indications(reader, targets)?;
        }
        for template in self.templates.iter_mut().take(count) {
            while reader.flag()? {
                let diff = reader.bits(4)?;
                template.push_frame_diff(diff)?;
            }
        }
        self.fill_chains(reader)?;
        self.fill_target_layers();
        if reader.flag()? {
            self.resolution_count = self.max_sid + 1;
            for resolution in self.resolutions.iter_mut().take(usize::from(self.resolution_count)) {
                *resolution = (pixels(reader)?, pixels(reader)?);
            }
        }
        Ok(())
    }

    /// `template_layers()`: each template's layer is the one before it, the next temporal, or the next spatial one.
    fn fill_layers(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let (mut sid, mut tid) = (0u8, 0u8);
        loop {
            let template =
                self.templates.get_mut(usize::from(self.template_count)).ok_or(Malformed::TooLarge)?;
            (template.sid, template.tid) = (sid, tid);
            self.template_count += 1;
            match reader.bits(2)? {
                0 => {}
                1 => tid += 1,
                2 => (sid, tid) = (sid + 1, 0),
                _ => break,
            }
            if usize::from(sid) >= SPATIAL_LAYERS_MAX || usize::from(tid) >= TEMPORAL_LAYERS_MAX {
                return Err(Malformed::TooLarge);
            }
            self.max_tid = self.max_tid.max(tid);
        }
        self.max_sid = sid;
        Ok(())
    }

    /// `template_chains()`.
    fn fill_chains(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        self.chain_count = reader.below(self.decode_target_count + 1)?;
        if self.chain_count == 0 {
            return Ok(());
        }
        for chain in self.protected_by.iter_mut().take(usize::from(self.decode_target_count)) {
            *chain = reader.below(self.chain_count)?;
        }
        for template in self.templates.iter_mut().take(usize::from(self.template_count)) {
            for diff in template.chain_diffs.iter_mut().take(usize::from(self.chain_count)) {
                *diff = reader.small(4)?;
            }
        }
        Ok(())
    }

    /// `decode_target_layers()`: the highest layers among the templates that a target contains.
    fn fill_target_layers(&mut self) {
        let templates = self.templates.iter().take(usize::from(self.template_count));
        for template in templates {
            for (target, (sid, tid)) in self.target_layers.iter_mut().enumerate() {
                if template.present >> target & 1 == 1 {
                    (*sid, *tid) = ((*sid).max(template.sid), (*tid).max(template.tid));
                }
            }
        }
    }
}

fn pixels(reader: &mut Reader<'_>) -> Result<u16, Malformed> {
    // 65,536 cannot be said in 16 bits, nor is it a size that anyone sends.
    u16::try_from(reader.bits(16)? + 1).map_err(|_| Malformed::TooLarge)
}
