//! Rows of small images with captions: maps, patches, explanations.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::paint::{self, GREY, INK, WHITE, area};
use super::text::{self, Style};

const MARGIN: i64 = 24;
const GAP: i64 = 8;
/// Height of the title with its note.
const TITLE: i64 = 72;
/// Height of the heading of a row.
const HEADING: i64 = 30;
/// Height of the caption below a panel.
const CAPTION: i64 = 22;
/// The least width, for the title.
const MIN_WIDTH: i64 = 560;
const BACKGROUND: Rgb<u8> = Rgb([238, 240, 243]);

/// A small image with a caption.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The caption below it; empty for none.
    pub caption: String,
    /// The image, of any size.
    pub image: RgbImage,
}

/// Panels with a heading.
#[derive(Clone, Debug)]
pub struct PanelRow {
    /// The heading above the row; empty for none.
    pub heading: String,
    /// Its panels.
    pub panels: Vec<Panel>,
}

/// A page of rows of panels.
#[derive(Clone, Debug)]
pub struct PanelPage {
    /// The title.
    pub title: String,
    /// A note below the title that says what is shown.
    pub note: String,
    /// Width and height of a panel in pixels.
    pub side: u32,
    /// Panels beside each other; longer rows are wrapped.
    pub columns: usize,
    /// The rows.
    pub rows: Vec<PanelRow>,
}

impl PanelPage {
    /// Draws the page. Images are scaled to the panels: small ones so that their pixels show.
    pub fn draw(&self) -> RgbImage {
        let side = i64::from(self.side.max(1));
        let used = self.rows.iter().map(|row| row.panels.len()).max().unwrap_or(0);
        let columns = self.columns.clamp(1, used.max(1)) as i64;
        let room = (columns * (side + GAP) - GAP).max(MIN_WIDTH);
        let height: i64 = self.rows.iter().map(|row| self.row_height(row, columns)).sum();
        let mut page = RgbImage::from_pixel((room + 2 * MARGIN) as u32, (TITLE + height + MARGIN) as u32, WHITE);
        let heading = Style::large(INK).bold();
        text::draw(&mut page, MARGIN, 14, &heading.fit(&self.title, room), heading);
        let note = Style::small(GREY);
        text::draw(&mut page, MARGIN, 42, &note.fit(&self.note, room), note);
        let mut top = TITLE;
        for row in &self.rows {
            self.draw_row(&mut page, row, top, columns, room);
            top += self.row_height(row, columns);
        }
        page
    }

    fn row_height(&self, row: &PanelRow, columns: i64) -> i64 {
        let lines = (row.panels.len() as i64 + columns - 1) / columns;
        let heading = if row.heading.is_empty() { 0 } else { HEADING };
        heading + lines * (i64::from(self.side.max(1)) + caption_height(row) + GAP) + GAP
    }

    fn draw_row(&self, page: &mut RgbImage, row: &PanelRow, top: i64, columns: i64, room: i64) {
        let side = i64::from(self.side.max(1));
        let mut top = top;
        if !row.heading.is_empty() {
            let style = Style::small(INK).bold();
            text::draw(page, MARGIN, top + 6, &style.fit(&row.heading, room), style);
            top += HEADING;
        }
        let style = Style::small(GREY);
        for (number, panel) in (0..).zip(&row.panels) {
            let x = MARGIN + number % columns * (side + GAP);
            let y = top + number / columns * (side + caption_height(row) + GAP);
            paint::fill(page, area(x, y, side, side), BACKGROUND);
            draw_image(page, x, y, side, &panel.image);
            text::draw(page, x, y + side + 3, &style.fit(&panel.caption, side), style);
        }
    }
}

fn caption_height(row: &PanelRow) -> i64 {
    let has_caption = row.panels.iter().any(|panel| !panel.caption.is_empty());
    if has_caption { CAPTION } else { 0 }
}

/// Draws an image into a square, with its aspect ratio.
fn draw_image(page: &mut RgbImage, x: i64, y: i64, side: i64, image: &RgbImage) {
    let longer = i64::from(image.width().max(image.height()));
    if image.width() == 0 || image.height() == 0 {
        return;
    }
    let fit = |own: u32| (i64::from(own) * side / longer).clamp(1, side);
    let width = fit(image.width());
    let height = fit(image.height());
    let filter = if longer * 2 <= side { FilterType::Nearest } else { FilterType::CatmullRom };
    let scaled = imageops::resize(image, width as u32, height as u32, filter);
    imageops::replace(page, &scaled, x + (side - width) / 2, y + (side - height) / 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_rows_are_wrapped_and_no_panel_is_lost() {
        let red = RgbImage::from_pixel(4, 2, Rgb([200, 0, 0]));
        let panel = Panel { caption: "a".into(), image: red };
        let row = PanelRow { heading: "row".into(), panels: vec![panel; 5] };
        let page =
            PanelPage { title: "t".into(), note: String::new(), side: 40, columns: 2, rows: vec![row.clone(), row] };
        let image = page.draw();
        let count = image.pixels().filter(|p| p.0 == [200, 0, 0]).count();
        assert_eq!(count, 10 * 40 * 20);
        let row_height = HEADING + 3 * (40 + CAPTION + GAP) + GAP;
        assert_eq!(image.dimensions(), ((MIN_WIDTH + 2 * MARGIN) as u32, (TITLE + 2 * row_height + MARGIN) as u32));
        let empty = PanelPage { rows: Vec::new(), ..page };
        assert_eq!(empty.draw().height(), (TITLE + MARGIN) as u32);
    }
}
