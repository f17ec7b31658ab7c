//! Charts out of block characters, or out of ASCII where there are none.
//! A chart has a scale that is said beside it; it never draws what was not measured.

use ratatui::layout::Rect;

use super::pen::Pen;
use crate::theme::Tone;

/// Draws the newest points that fit, the newest at the right, scaled to the largest of them.
pub(super) fn spark(pen: &mut Pen<'_>, area: Rect, points: impl DoubleEndedIterator<Item = f64>, tone: Tone) -> f64 {
    let newest: Vec<f64> = points.rev().take(usize::from(area.width)).collect();
    let most = newest.iter().copied().filter(|value| value.is_finite()).fold(0.0, f64::max);
    // What was not measured leaves a hole.
    for (back, value) in (1_u16..).zip(newest).filter(|(_, value)| value.is_finite()) {
        bar(pen, area.right().saturating_sub(back), area, share(value, most), tone);
    }
    most
}

fn share(value: f64, most: f64) -> f64 {
    if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 }
}

/// One column of a chart, as high as its area allows.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of at most 8 x rows steps")]
fn bar(pen: &mut Pen<'_>, x: u16, area: Rect, share: f64, tone: Tone) {
    let bars = pen.glyphs().bars;
    let steps = (share * 8.0 * f64::from(area.height)).ceil() as u16;
    for row in 0..area.height {
        let step = steps.saturating_sub(row * 8).min(8);
        // What was measured and is nothing is a line at the bottom, not a gap.
        let step = if row == 0 { step.max(1) } else { step };
        let sign = bars.get(usize::from(step)).copied().unwrap_or(" ");
        pen.put(x, area.bottom().saturating_sub(1 + row), 1, tone, sign);
    }
}
