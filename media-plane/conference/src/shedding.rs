//! What is given up when the box has more to do than it can: frame rates first, then thumbnails, then the stage. Never audio.

use crate::allocation::Plan;

/// How much is given up; each step includes those before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shedding {
    /// Nothing.
    #[default]
    Nothing,
    /// The highest frame rate of whatever is not on stage.
    ThumbnailFrameRate,
    /// All but the lowest frame rate, of everything.
    FrameRate,
    /// All but the lowest layer of whatever is not on stage.
    ThumbnailSize,
    /// Whatever is not on stage.
    Thumbnails,
    /// All but the lowest layer of the stage.
    StageSize,
}

impl Shedding {
    /// All steps, the least first.
    pub const ALL: [Shedding; 6] = [
        Shedding::Nothing,
        Shedding::ThumbnailFrameRate,
        Shedding::FrameRate,
        Shedding::ThumbnailSize,
        Shedding::Thumbnails,
        Shedding::StageSize,
    ];

    /// The step after this, or this if it is the last.
    pub fn more(self) -> Shedding {
        Self::ALL.get(self as usize + 1).copied().unwrap_or(self)
    }

    /// The step before.
    pub fn less(self) -> Shedding {
        Self::ALL[(self as usize).saturating_sub(1)]
    }

    /// Take out of a plan what is given up.
    pub(crate) fn limit(self, plan: &mut Plan) {
        let on_stage = plan.wanted.on_stage;
        let temporal_max = match self {
            Shedding::Nothing => return,
            Shedding::ThumbnailFrameRate if on_stage => return,
            Shedding::ThumbnailFrameRate => 1,
            _ => 0,
        };
        let lowest = plan.steps.first().copied();
        plan.steps.retain(|step| step.target.layer.temporal <= temporal_max || Some(*step) == lowest);
        match self {
            Shedding::Thumbnails | Shedding::StageSize if !on_stage => plan.steps.clear(),
            Shedding::ThumbnailSize if !on_stage => plan.steps.truncate(1),
            Shedding::StageSize => plan.steps.truncate(1),
            _ => {}
        }
        plan.bound_preferences();
    }
}

#[cfg(test)]
mod tests {
    use contract::session::VideoType;

    use super::*;
    use crate::constraints::Wanted;
    use crate::layer::Choice;
    use crate::packet::Layer;

    fn plan(on_stage: bool) -> Plan {
        let mut choices = Vec::new();
        for (encoding, height) in [180u16, 360, 720].into_iter().enumerate() {
            for temporal in 0..3u8 {
                choices.push(Choice {
                    encoding: encoding as u8,
                    layer: Layer { spatial: 0, temporal },
                    rate: (1 << (2 * encoding)) * 100 * u64::from(temporal + 2),
                    burst: 0,
                    height,
                    halvings: 0,
                });
            }
        }
        Plan::new(Wanted { source: 1, max_height: 720, on_stage }, VideoType::Camera, &choices)
    }

    #[test]
    fn each_step_leaves_less_and_the_stage_lasts_longest() {
        let left = |on_stage: bool| {
            Shedding::ALL.map(|step| {
                let mut plan = plan(on_stage);
                step.limit(&mut plan);
                plan.steps.last().map(|step| (step.target.encoding, step.target.layer.temporal))
            })
        };
        assert_eq!(left(true), [(2, 2), (2, 2), (2, 0), (2, 0), (2, 0), (0, 0)].map(Some));
        let thumbnails = left(false);
        assert_eq!(thumbnails[..4], [(2, 2), (2, 1), (2, 0), (0, 0)].map(Some));
        assert_eq!(thumbnails[4..], [None, None]);
    }

    #[test]
    fn steps_go_up_and_down_one_by_one_and_end() {
        let mut step = Shedding::Nothing;
        assert_eq!(step.less(), Shedding::Nothing);
        for expected in &Shedding::ALL[1..] {
            step = step.more();
            assert_eq!(step, *expected);
        }
        assert_eq!(step.more(), Shedding::StageSize);
        assert_eq!(step.less(), Shedding::Thumbnails);
    }
}
