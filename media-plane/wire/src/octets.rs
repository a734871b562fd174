//! Big-endian numbers in a byte slice: reads that cannot run over its end, writes that stop at it.

/// The byte at `at`.
pub(crate) fn u8_at(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

/// Two bytes at `at`.
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// Three bytes at `at`.
pub(crate) fn u24_at(data: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = *data.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Four bytes at `at`.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// Eight bytes at `at`.
pub(crate) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*data.get(at..)?.first_chunk()?))
}

/// An iterator over the 32-bit numbers of `data`; a shorter rest is left out.
pub(crate) fn u32s(data: &[u8]) -> impl Iterator<Item = u32> + Clone + '_ {
    data.chunks_exact(4).filter_map(|chunk| u32_at(chunk, 0))
}

/// A buffer being filled from its start. Each write is whole or not at all (`None`).
pub(crate) struct Output<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Output<'a> {
    pub(crate) fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    /// How much has been written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What has been written.
    pub(crate) fn written(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, data: &[u8]) -> Option<()> {
        let end = self.len.checked_add(data.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(data);
        self.len = end;
        Some(())
    }

    pub(crate) fn u8(&mut self, value: u8) -> Option<()> {
        self.put(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    /// The lower 24 bits of `value`.
    pub(crate) fn u24(&mut self, value: u32) -> Option<()> {
        let [_, a, b, c] = value.to_be_bytes();
        self.put(&[a, b, c])
    }

    pub(crate) fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> Option<()> {
        self.put(&value.to_be_bytes())
    }

    /// Zero bytes up to the next multiple of four.
    pub(crate) fn align(&mut self) -> Option<()> {
        let rest = self.len % 4;
        if rest == 0 { Some(()) } else { self.put([0u8; 4].get(rest..)?) }
    }

    /// Overwrite two bytes written before.
    pub(crate) fn set_u16(&mut self, at: usize, value: u16) -> Option<()> {
        let end = at.checked_add(2)?;
        let written = self.bytes.get_mut(..self.len)?;
        written.get_mut(at..end)?.copy_from_slice(&value.to_be_bytes());
        Some(())
    }
}
