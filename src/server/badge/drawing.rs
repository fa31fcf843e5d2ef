//! The picture itself. Sizes, colours and the names of its parts are those that
//! Argo CD's badges have, so that pages that embed or restyle them keep working.

/// Widths in pixels: without a revision, with a short one, with a whole one.
const NARROW: u32 = 131;
const WITH_SHORT_REVISION: u32 = 192;
const WITH_WHOLE_REVISION: u32 = 400;
/// The widest badge that is drawn, whatever is asked for.
const WIDEST: u32 = 10_000;
/// Of the part on the left.
const LEFT: u32 = 77;
/// Height of a row.
const ROW: u32 = 20;
/// Letters of a revision that are shown.
const SHORT: usize = 7;
/// Of a letter of the title; and of one of the revision in the tenths of a pixel
/// that texts are placed in.
const TITLE_LETTER: u32 = 6;
const REVISION_LETTER: u32 = 62;

const GREEN: &str = "rgb(11, 97, 42)";
const PURPLE: &str = "rgb(115, 31, 77)";
const ORANGE: &str = "rgb(189, 115, 0)";
const RED: &str = "rgb(167, 46, 38)";
const BLUE: &str = "rgb(16, 61, 102)";
const GREY: &str = "rgb(41, 52, 61)";

/// What is on a badge.
pub(super) struct Drawing<'a> {
    pub(super) left: &'a str,
    pub(super) left_color: &'static str,
    pub(super) right: &'a str,
    pub(super) right_color: &'static str,
    /// Whether there is a place for a revision, filled or not.
    pub(super) with_revision: bool,
    pub(super) revision: Option<&'a str>,
    pub(super) full_revision: bool,
    /// A row of its own, above.
    pub(super) title: Option<&'a str>,
    /// In pixels, where the one that fits is not wanted.
    pub(super) width: Option<u32>,
}

/// The colour of a state of health.
pub(super) fn health_color(health: &str) -> &'static str {
    match health {
        "Healthy" => GREEN,
        "Progressing" => BLUE,
        "Degraded" => RED,
        "Missing" | "Unknown" => PURPLE,
        _ => GREY,
    }
}

/// The colour of a state of sync.
pub(super) fn sync_color(sync: &str) -> &'static str {
    match sync {
        "Synced" => GREEN,
        "OutOfSync" => ORANGE,
        "Unknown" => PURPLE,
        _ => GREY,
    }
}

// === impl Drawing ===

impl Drawing<'_> {
    pub(super) fn svg(&self) -> String {
        let revision = self.revision.map(|revision| shortened(revision, self.full_revision));
        let fitting = match (self.revision, &revision) {
            (Some(whole), Some(shown)) if shown.len() < whole.len() => WITH_SHORT_REVISION,
            (Some(_), _) => WITH_WHOLE_REVISION,
            _ => NARROW,
        };
        let mut width = self.width.map_or(fitting, |width| width.min(WIDEST));
        let (mut right_width, revision_width) = match (self.width.is_some() || revision.is_some(), self.with_revision) {
            (true, true) => (NARROW - LEFT, width.saturating_sub(NARROW)),
            (true, false) => (width.saturating_sub(LEFT), 0),
            (false, _) => (NARROW - LEFT, 0),
        };
        let (mut height, mut top, mut title_width) = (ROW, 0, 0);
        if let Some(title) = self.title {
            title_width = width.max(letters(title) * TITLE_LETTER);
            (width, height, top) = (title_width, 2 * ROW, ROW);
            right_width = width.saturating_sub(LEFT);
        }
        let baseline = 10 * top + 130;
        let revision_at = 10 * NARROW + (revision.as_deref().map_or(0, letters) + 1) * REVISION_LETTER / 2;
        let display = if revision.is_some() { "inline" } else { "none" };
        let revision = revision.map(|revision| format!("({revision})")).unwrap_or_default();
        let [left, right, revision, title] =
            [self.left, self.right, &*revision, self.title.unwrap_or_default()].map(escaped);
        let (left_color, right_color) = (self.left_color, self.right_color);
        let logo = logo(top);
        format!(
            r##"<svg width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg" role="img">
  <clipPath id="roundedCorners"><rect width="100%" height="100%" rx="3"/></clipPath>
  <g clip-path="url(#roundedCorners)">
    <rect id="titleRect" fill="{GREY}" x="0" y="0" width="{title_width}" height="{ROW}"/>
    <rect id="leftRect" fill="{left_color}" x="0" y="{top}" width="{LEFT}" height="{ROW}"/>
    <rect id="rightRect" fill="{right_color}" x="{LEFT}" y="{top}" width="{right_width}" height="{ROW}"/>
    <rect id="revisionRect" fill="{right_color}" x="{NARROW}" y="{top}" width="{revision_width}" height="{ROW}" display="{display}"/>
  </g>
  {logo}
  <g fill="#fff" font-family="DejaVu Sans, sans-serif" font-size="90">
    <text id="titleText" x="100" y="130" transform="scale(.1)" text-anchor="start" letter-spacing="-2">{title}</text>
    <text id="leftText" x="475" y="{baseline}" transform="scale(.1)" text-anchor="middle" letter-spacing="-2">{left}</text>
    <text id="rightText" x="1035" y="{baseline}" transform="scale(.1)" text-anchor="middle" letter-spacing="-2">{right}</text>
    <text id="revisionText" x="{revision_at}" y="{baseline}" font-family="monospace" transform="scale(.1)" text-anchor="middle" font-size="100" letter-spacing="2" display="{display}">{revision}</text>
  </g>
</svg>
"##
        )
    }
}

/// A ship under sail.
fn logo(top: u32) -> String {
    format!(
        r##"<g transform="translate(5 {})" fill="#fff"><path d="M7 0v9H1.5C4.5 7 6.5 4 7 0z"/><path d="M8 2c.3 3 2 5.5 4.5 7H8z"/><path d="M0 10h14l-2.5 4h-9z"/></g>"##,
        top + 3
    )
}

fn shortened(revision: &str, full: bool) -> String {
    let letters = if full { usize::MAX } else { SHORT };
    revision.chars().take(letters).collect()
}

fn letters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(WIDEST).min(WIDEST)
}

/// Text that is nothing but text in a document.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVISION: &str = "aa29b85ababababababab";

    fn drawing() -> Drawing<'static> {
        Drawing {
            left: "Healthy",
            left_color: health_color("Healthy"),
            right: "OutOfSync",
            right_color: sync_color("OutOfSync"),
            with_revision: false,
            revision: None,
            full_revision: false,
            title: None,
            width: None,
        }
    }

    /// The value of an attribute of the part with this name.
    fn attribute(svg: &str, id: &str, attribute: &str) -> String {
        let at = svg.find(&format!("id=\"{id}\"")).expect("the part");
        let start = at + svg[at..].find(&format!(" {attribute}=\"")).expect("the attribute") + attribute.len() + 3;
        svg[start..].split('"').next().unwrap_or_default().to_owned()
    }

    fn size(svg: &str) -> (&str, &str) {
        let mut parts = svg.split('"');
        (parts.nth(1).unwrap_or_default(), parts.nth(1).unwrap_or_default())
    }

    #[test]
    fn a_plain_badge_shows_both_states_in_their_colours() {
        let svg = drawing().svg();
        assert_eq!(size(&svg), ("131", "20"));
        assert_eq!(attribute(&svg, "leftRect", "fill"), "rgb(11, 97, 42)");
        assert_eq!(attribute(&svg, "rightRect", "fill"), "rgb(189, 115, 0)");
        assert_eq!(attribute(&svg, "revisionText", "display"), "none");
        assert!(svg.contains(">Healthy</text>") && svg.contains(">OutOfSync</text>"), "{svg}");
    }

    #[test]
    fn a_revision_makes_it_wider_and_is_cut_to_seven_letters() {
        let short = Drawing { with_revision: true, revision: Some(REVISION), ..drawing() }.svg();
        assert_eq!(size(&short), ("192", "20"));
        assert!(short.contains(">(aa29b85)</text>"), "{short}");
        assert_eq!(attribute(&short, "revisionRect", "width"), "61");
        assert_eq!(attribute(&short, "revisionText", "x"), "1558");
        let full = Drawing { with_revision: true, revision: Some(REVISION), full_revision: true, ..drawing() }.svg();
        assert_eq!(size(&full), ("400", "20"));
        assert!(full.contains(&format!(">({REVISION})</text>")), "{full}");
    }

    #[test]
    fn the_width_can_be_chosen_within_bounds() {
        let wide = Drawing { width: Some(500), ..drawing() }.svg();
        assert_eq!((size(&wide).0, &*attribute(&wide, "rightRect", "width")), ("500", "423"));
        assert_eq!(size(&Drawing { width: Some(u32::MAX), ..drawing() }.svg()).0, "10000");
        assert_eq!(attribute(&Drawing { width: Some(1), ..drawing() }.svg(), "rightRect", "width"), "0");
    }

    #[test]
    fn a_title_has_a_row_of_its_own() {
        let name = "a-name-of-an-application-that-is-longer";
        let svg = Drawing { title: Some(name), ..drawing() }.svg();
        assert_eq!(size(&svg), ("234", "40"));
        assert_eq!(attribute(&svg, "titleRect", "width"), "234");
        assert_eq!(attribute(&svg, "leftRect", "y"), "20");
        assert_eq!(attribute(&svg, "leftText", "y"), "330");
        assert!(svg.contains(&format!(">{name}</text>")), "{svg}");
    }

    #[test]
    fn texts_cannot_become_part_of_the_document() {
        let hostile = "<script>alert('\"&')</script>";
        let svg = Drawing { left: hostile, revision: Some(hostile), full_revision: true, ..drawing() }.svg();
        assert!(!svg.contains("<script>"), "{svg}");
    }
}
