//! How many videos a receiver is allotted, by height: what people are shown of the layers.

/// Videos by the height of the chosen layer, in pixels: up to each of [`Heights::LIMITS`], and above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heights(pub [u8; Heights::LIMITS.len() + 1]);

impl Heights {
    /// The layers of a camera's simulcast, as browsers send them.
    pub const LIMITS: [u16; 3] = [180, 360, 720];

    /// One more of this height.
    pub(crate) fn count(&mut self, height: u16) {
        let at = Heights::LIMITS.iter().position(|limit| height <= *limit).unwrap_or(Heights::LIMITS.len());
        if let Some(videos) = self.0.get_mut(at) {
            *videos = videos.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_height_counts_up_to_its_limit() {
        let mut heights = Heights::default();
        for height in [0, 90, 180, 181, 360, 720, 721, u16::MAX] {
            heights.count(height);
        }
        assert_eq!(heights, Heights([3, 2, 1, 2]));
    }
}
