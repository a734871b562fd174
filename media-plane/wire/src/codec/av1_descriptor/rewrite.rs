//! Rewriting a descriptor on its way to a receiver that sees several streams as one.

use super::bits::{Reader, put};
use super::descriptor::{Layout, Mandatory};
use super::{EXTENDED_BITS, MANDATORY_BITS, Structure, TEMPLATE_ID_MASK};
use crate::codec::Malformed;

/// The fields to change in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The new frame number.
    pub frame_number: u16,
    /// Added to the template id, and to the offset of an attached structure, modulo 64.
    pub template_offset: u8,
    /// Replaces the mask of active decode targets; see each function on a descriptor that has none.
    pub active_mask: Option<u32>,
}

/// Change a descriptor in place; its length stays. `known` as in [`Descriptor::parse`](super::Descriptor::parse), needed if the descriptor carries
/// a mask but no structure. On an error the data is unchanged.
pub fn rewrite(data: &mut [u8], known: Option<&Structure>, change: &Rewrite) -> Result<(), Malformed> {
    let mandatory = Mandatory::parse(data)?;
    let mask = match change.active_mask.filter(|_| mandatory.has_active_mask) {
        Some(mask) => Some((find_mask(data, &mandatory, known)?, mask)),
        None => None,
    };
    put_fields(data, &mandatory, change).ok_or(Malformed::Truncated)?;
    if let Some((place, mask)) = mask {
        put(data, place.at, place.bits, mask).ok_or(Malformed::Truncated)?;
    }
    Ok(())
}

/// Copy a descriptor to `out`, changed; the length written. If `change` asks for a mask and the descriptor has none, one
/// is added, which takes up to five bytes more. `known` as in [`Descriptor::parse`](super::Descriptor::parse); needed
/// for a mask, unless a structure is attached.
pub fn rewrite_into(
    data: &[u8],
    known: Option<&Structure>,
    change: &Rewrite,
    out: &mut [u8],
) -> Result<usize, Malformed> {
    let mandatory = Mandatory::parse(data)?;
    let Some(mask) = change.active_mask.filter(|_| !mandatory.has_active_mask) else {
        let copy = out.get_mut(..data.len()).ok_or(Malformed::TooLarge)?;
        copy.copy_from_slice(data);
        rewrite(copy, known, change)?;
        return Ok(data.len());
    };
    let place = find_mask(data, &mandatory, known)?;
    // Without extended fields there are no flags to copy: they are zero but for the mask's.
    let extended = data.len() * 8 > MANDATORY_BITS;
    let tail = if extended { place.end.saturating_sub(place.at) } else { 0 };
    let len = (place.at + bits_of(place.bits) + tail).div_ceil(8);
    let copy = out.get_mut(..len).ok_or(Malformed::TooLarge)?;
    copy.fill(0);
    let head = if extended { place.at } else { MANDATORY_BITS };
    copy_bits(data, 0, copy, 0, head).ok_or(Malformed::Truncated)?;
    copy_bits(data, place.at, copy, place.at + bits_of(place.bits), tail).ok_or(Malformed::Truncated)?;
    put(copy, MANDATORY_BITS + 1, 1, 1).ok_or(Malformed::Truncated)?;
    put(copy, place.at, place.bits, mask).ok_or(Malformed::Truncated)?;
    put_fields(copy, &mandatory, change).ok_or(Malformed::Truncated)?;
    Ok(len)
}

/// Where the mask is or would be, in bits.
struct MaskPlace {
    at: usize,
    /// How many it has.
    bits: u32,
    /// Where all fields of the descriptor end.
    end: usize,
}

fn find_mask(data: &[u8], mandatory: &Mandatory, known: Option<&Structure>) -> Result<MaskPlace, Malformed> {
    let mut reader = Reader::new(data, EXTENDED_BITS);
    let place = |structure: &Structure, reader| {
        let layout = Layout::read(mandatory, structure, reader)?;
        Ok(MaskPlace {
            at: layout.mask_at,
            bits: u32::from(structure.decode_target_count()),
            end: layout.end,
        })
    };
    if mandatory.has_structure {
        let mut attached = Structure::default();
        attached.fill(&mut reader)?;
        return place(&attached, reader);
    }
    place(known.ok_or(Malformed::UnknownStructure)?, reader)
}

/// Template id, frame number, and the template offset of an attached structure.
fn put_fields(data: &mut [u8], mandatory: &Mandatory, change: &Rewrite) -> Option<()> {
    if mandatory.has_structure {
        let offset = Reader::new(data, EXTENDED_BITS).small(6).ok()?.wrapping_add(change.template_offset);
        put(data, EXTENDED_BITS, 6, u32::from(offset & TEMPLATE_ID_MASK))?;
    }
    let template_id = mandatory.template_id.wrapping_add(change.template_offset);
    put(data, 2, 6, u32::from(template_id & TEMPLATE_ID_MASK))?;
    put(data, 8, 16, u32::from(change.frame_number))
}

fn copy_bits(from: &[u8], from_at: usize, to: &mut [u8], to_at: usize, count: usize) -> Option<()> {
    let mut reader = Reader::new(from, from_at);
    (to_at..to_at + count).try_for_each(|at| put(to, at, 1, u32::from(reader.flag().ok()?)))
}

fn bits_of(count: u32) -> usize {
    count as usize
}
