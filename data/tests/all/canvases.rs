//! First frames on their canvas, headers of old programs, and orientations: what Pillow shows.

use std::io::{Cursor, Write};

use alexnet_data::{BadImage, DecodeOptions, Image, decode_image};
use image::{ImageFormat, RgbImage};

use crate::common;

fn decode(bytes: &[u8]) -> Result<Image, BadImage> {
    decode_image(bytes.to_vec(), &DecodeOptions::default())
}

fn turned(bytes: &[u8]) -> Image {
    decode_image(bytes.to_vec(), &DecodeOptions { apply_orientation: true, ..DecodeOptions::default() }).unwrap()
}

fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

/// A GIF of one frame.
#[derive(Clone, Default)]
struct Gif {
    screen: (u16, u16),
    /// Left, top, width, height.
    frame: (u16, u16, u16, u16),
    indices: Vec<u8>,
    palette: Vec<u8>,
    own_palette: Vec<u8>,
    transparent: Option<u8>,
    background: u8,
}

impl Gif {
    fn bytes(&self) -> Vec<u8> {
        let flags = |palette: &[u8]| if palette.is_empty() { 0 } else { 0x7f + (palette.len() / 3).ilog2() as u8 };
        let mut out = b"GIF89a".to_vec();
        out.extend([self.screen.0, self.screen.1].iter().flat_map(|v| v.to_le_bytes()));
        out.extend([flags(&self.palette), self.background, 0]);
        out.extend(&self.palette);
        if let Some(transparent) = self.transparent {
            out.extend([0x21, 0xf9, 4, 1, 0, 0, transparent, 0]);
        }
        let (left, top, width, height) = self.frame;
        out.push(0x2c);
        out.extend([left, top, width, height].iter().flat_map(|v| v.to_le_bytes()));
        out.push(flags(&self.own_palette));
        out.extend(&self.own_palette);
        let data = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8).encode(&self.indices).unwrap();
        out.extend([8, data.len() as u8]);
        out.extend(data);
        out.extend([0, 0x3b]);
        out
    }
}

const COLOURS: [[u8; 3]; 4] = [[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]];

#[test]
fn a_gif_frame_lies_on_a_canvas_of_pillows_background() {
    let whole = Gif {
        screen: (3, 3),
        frame: (1, 1, 2, 2),
        indices: vec![1, 2, 1, 3],
        palette: COLOURS.concat(),
        background: 2,
        ..Gif::default()
    };
    let canvas = |gif: &Gif, background: [u8; 3], colour: fn(usize) -> [u8; 3]| {
        let b = background;
        let expected = [b, b, b, b, colour(1), colour(2), b, colour(1), colour(3)].concat();
        assert_eq!(decode(&gif.bytes()).unwrap().pixels(), expected);
    };
    // The palette's first colour, not the one that the header names; the transparent one where there is one.
    canvas(&whole, COLOURS[0], |i| COLOURS[i]);
    canvas(&Gif { transparent: Some(3), ..whole.clone() }, COLOURS[3], |i| COLOURS[i]);
    canvas(&Gif { transparent: Some(77), ..whole.clone() }, [0; 3], |i| COLOURS[i]);
    // Without a palette, or with one of greys in order, indices are greys.
    canvas(&Gif { palette: vec![], ..whole.clone() }, [0; 3], |i| [i as u8; 3]);
    canvas(&Gif { palette: vec![], transparent: Some(77), ..whole.clone() }, [77; 3], |i| [i as u8; 3]);
    canvas(&Gif { own_palette: vec![0, 0, 0, 1, 1, 1], ..whole.clone() }, [0; 3], |i| [i as u8; 3]);
    // Beyond the palette all is black.
    let own = Gif { own_palette: vec![1, 2, 3, 4, 5, 6], ..whole };
    canvas(&own, [1, 2, 3], |i| if i == 1 { [4, 5, 6] } else { [0; 3] });
}

#[test]
fn a_gif_frame_beyond_its_screen_makes_it_larger() {
    let gif = Gif { frame: (2, 1, 2, 2), indices: vec![1, 2, 1, 3], palette: COLOURS.concat(), ..Gif::default() };
    for screen in [(3, 3), (0, 0), (4, 1)] {
        let image = decode(&Gif { screen, ..gif.clone() }.bytes()).unwrap();
        assert_eq!((image.width(), image.height()), (4, 3), "{screen:?}");
        assert_eq!(image.pixels()[..12], COLOURS[0].repeat(4));
        assert_eq!(image.pixels()[12..24], [COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[2]].concat());
        assert_eq!(image.pixels()[24..], [COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[3]].concat());
    }
    let far = Gif { frame: (65_000, 65_000, 2, 2), ..gif.clone() };
    let error = decode(&far.bytes()).unwrap_err().to_string();
    assert_eq!(error, "65002 x 65002 pixels are over the limit of 64000000 pixels");
    let cut = Gif { indices: vec![1, 2, 1], ..gif };
    assert!(matches!(decode(&cut.bytes()), Err(BadImage::CutShort(_) | BadImage::Damaged(_))));
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len() % 2];
    [name.as_slice(), &(data.len() as u32).to_le_bytes(), data, &padding].concat()
}

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let content = [b"WEBP".to_vec(), chunks.concat()].concat();
    chunk(b"RIFF", &content)
}

/// The header of the extended form.
fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let size = [width - 1, height - 1].map(|v| v.to_le_bytes()[..3].to_vec()).concat();
    chunk(b"VP8X", &[vec![flags, 0, 0, 0], size].concat())
}

/// The lossless data of a WebP that the `image` crate writes.
fn vp8l(image: &image::RgbaImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::WebP).unwrap();
    let at = bytes.windows(4).position(|w| w == b"VP8L").unwrap();
    bytes[at..].to_vec()
}

#[test]
fn the_first_frame_of_a_webp_is_not_blended() {
    let frame =
        image::RgbaImage::from_fn(2, 2, |x, y| image::Rgba([200, 100 + x as u8, 50 + y as u8, (x * 128) as u8]));
    let place = |left: u8, top: u8| [vec![left, 0, 0, top, 0, 0, 1, 0, 0, 1, 0, 0, 9, 0, 0, 0], vp8l(&frame)].concat();
    let file =
        |content: &[u8]| riff(&[vp8x(0x12, 4, 2), chunk(b"ANIM", &[9, 99, 199, 255, 0, 0]), chunk(b"ANMF", content)]);
    let shown: Vec<Vec<u8>> = frame.rows().map(|row| row.flat_map(|p| p.0[..3].to_vec()).collect()).collect();
    // Places are halved; what no frame covers is black.
    let left = [shown[0].clone(), vec![0; 6], shown[1].clone(), vec![0; 6]].concat();
    let right = [vec![0; 6], shown[0].clone(), vec![0; 6], shown[1].clone()].concat();
    assert_eq!(decode(&file(&place(0, 0))).unwrap().pixels(), left);
    assert_eq!(decode(&file(&place(1, 0))).unwrap().pixels(), right);
}

const TIFF: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
const XMP: &[u8] = b"<x:xmpmeta><rdf:Description tiff:Orientation=\"6\"/></x:xmpmeta>";

/// Turned, and unturned where that is not asked for.
#[track_caller]
fn assert_turned(name: &str, bytes: &[u8], image: &RgbImage) {
    assert_eq!(decode(bytes).unwrap().pixels(), image.as_raw(), "{name}, not asked for");
    let upright = image::imageops::rotate90(image);
    let found = turned(bytes);
    assert_eq!((found.width(), found.height()), (image.height() as usize, image.width() as usize), "{name}");
    assert_eq!(found.pixels(), upright.as_raw(), "{name}");
}

#[test]
fn webps_are_turned_by_exif_and_xmp() {
    let image = common::image(5, 3, 1);
    let plain = encode(&image, ImageFormat::WebP);
    let data = plain[12..].to_vec();
    let with_mark = [b"Exif\0\0", TIFF].concat();
    let element = b"<tiff:Orientation>6</tiff:Orientation>";
    let cases: [(&str, u8, &[u8; 4], &[u8]); 4] = [
        ("EXIF", 8, b"EXIF", TIFF),
        ("EXIF with JPEG's mark", 8, b"EXIF", &with_mark),
        ("XMP", 4, b"XMP ", XMP),
        ("XMP's other form", 4, b"XMP ", element),
    ];
    for (name, flag, kind, content) in cases {
        assert_turned(name, &riff(&[vp8x(flag, 5, 3), data.clone(), chunk(kind, content)]), &image);
    }
    assert_eq!(turned(&plain).pixels(), image.as_raw());
    // EXIF is asked first.
    let upright = TIFF.iter().map(|&b| if b == 6 { 1 } else { b }).collect::<Vec<_>>();
    let both = riff(&[vp8x(12, 5, 3), data, chunk(b"EXIF", &upright), chunk(b"XMP ", XMP)]);
    assert_eq!(turned(&both).pixels(), image.as_raw());
}

/// The checksum of PNG.
fn crc32(bytes: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xedb8_8320 * (c & 1)));
    !bytes.iter().fold(!0, byte)
}

fn png_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let content = [name.as_slice(), data].concat();
    [(data.len() as u32).to_be_bytes().to_vec(), content.clone(), crc32(&content).to_be_bytes().to_vec()].concat()
}

#[test]
fn pngs_are_turned_by_exif_xmp_and_imagemagicks_profile() {
    let image = common::image(5, 3, 1);
    let plain = encode(&image, ImageFormat::Png);
    let deflated = |data: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    };
    let exif = [b"Exif\0\0", TIFF].concat();
    let digits: Vec<String> = exif.iter().map(|byte| format!("{byte:02x}")).collect();
    let (first, second) = digits.split_at(20);
    let profile = format!("\nexif\n{:8}\n{}\n{}\n", exif.len(), first.concat(), second.concat());
    let key = b"Raw profile type exif\0".as_slice();
    let xmp = b"XML:com.adobe.xmp\0".as_slice();
    let cases = [
        ("eXIf", png_chunk(b"eXIf", TIFF)),
        ("profile", png_chunk(b"tEXt", &[key, profile.as_bytes()].concat())),
        ("compressed profile", png_chunk(b"zTXt", &[key, b"\0", &deflated(profile.as_bytes())].concat())),
        ("XMP", png_chunk(b"iTXt", &[xmp, b"\0\0\0\0", XMP].concat())),
        ("compressed XMP", png_chunk(b"iTXt", &[xmp, b"\x01\0en\0\0", &deflated(XMP)].concat())),
    ];
    // After the header, and before the end.
    for at in [33, plain.len() - 12] {
        for (name, chunk) in &cases {
            assert_turned(name, &[&plain[..at], chunk, &plain[at..]].concat(), &image);
        }
    }
    assert_eq!(turned(&plain).pixels(), image.as_raw());
    let broken = png_chunk(b"tEXt", &[key, b"\nexif\n 8\n45786"].concat());
    assert_eq!(turned(&[&plain[..33], &broken, &plain[33..]].concat()).pixels(), image.as_raw());
}

/// A BMP of a palette with four colours.
fn bmp(header: u32, size: (i32, i32), bits: u16, compression: u32, data: &[u8]) -> Vec<u8> {
    let palette: Vec<u8> = COLOURS.iter().flat_map(|[r, g, b]| [*b, *g, *r, 0]).collect();
    let offset = 14 + header + palette.len() as u32;
    let mut info = vec![0; header as usize];
    info[..4].copy_from_slice(&header.to_le_bytes());
    info[4..8].copy_from_slice(&size.0.to_le_bytes());
    info[8..12].copy_from_slice(&size.1.to_le_bytes());
    info[12..16].copy_from_slice(&[1, 0, bits as u8, 0]);
    info[16..20].copy_from_slice(&compression.to_le_bytes());
    info[32..36].copy_from_slice(&4u32.to_le_bytes());
    let length = offset + data.len() as u32;
    let file = [b"BM".as_slice(), &length.to_le_bytes(), &[0; 4], &offset.to_le_bytes()].concat();
    [file, info, palette, data.to_vec()].concat()
}

#[test]
fn bmps_of_os2_and_rows_from_the_top() {
    let colours = |indices: &[usize]| -> Vec<u8> { indices.iter().flat_map(|&i| COLOURS[i]).collect() };
    let plain = [1, 2, 0, 0, 3, 0, 0, 0];
    let runs = [1, 1, 1, 2, 0, 0, 1, 3, 1, 0, 0, 1];
    for header in [40, 64] {
        for (compression, data) in [(0, plain.as_slice()), (1, &runs)] {
            let up = decode(&bmp(header, (2, 2), 8, compression, data)).unwrap();
            assert_eq!(up.pixels(), colours(&[3, 0, 1, 2]), "header {header}, compression {compression}");
            let down = decode(&bmp(header, (2, -2), 8, compression, data)).unwrap();
            assert_eq!(
                down.pixels(),
                colours(&[1, 2, 3, 0]),
                "header {header}, compression {compression}, from the top"
            );
        }
    }
    let whole = bmp(64, (2, -2), 8, 1, &runs);
    for length in 0..whole.len() {
        assert!(!matches!(decode(&whole[..length]), Err(BadImage::DecoderPanic(_))), "{length} bytes");
    }
}
