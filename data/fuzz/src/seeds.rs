//! Seed inputs of every kind.

use std::io::{Cursor, Write};

use flate2::Compression;
use image::{ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

fn drawn(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed).wrapping_mul(2_654_435_761) >> 28;
        image::Rgb([x as u8 * 5, y as u8 * 7 + noise as u8, (x ^ y ^ seed) as u8])
    })
}

fn encoded(
    colour: ColorType,
    pixels: &[u8],
    width: u32,
    height: u32,
    set: impl Fn(&mut Encoder<&mut Vec<u8>>),
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 60);
    set(&mut encoder);
    encoder.encode(pixels, width as u16, height as u16, colour).expect("it can be encoded");
    bytes
}

/// A small JPEG.
pub fn jpeg(width: u32, height: u32, seed: u32) -> Vec<u8> {
    encoded(ColorType::Rgb, drawn(width, height, seed).as_raw(), width, height, |_| ())
}

/// Inserts fill bytes before each marker of a JPEG that `is_filled` selects.
fn filled(jpeg: &[u8], count: usize, is_filled: fn(u8) -> bool) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    for pair in jpeg[2..].windows(2) {
        // Neither the tables nor the headers of these images hold such a pair by chance.
        if pair[0] == 0xff && pair[1] != 0 && is_filled(pair[1]) {
            bytes.resize(bytes.len() + count, 0xff);
        }
        bytes.push(pair[0]);
    }
    bytes.extend(jpeg.last());
    bytes
}

/// A tar of files.
pub fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).expect("memory can be written");
    }
    builder.into_inner().expect("memory can be written")
}

/// Images of every format and colour space.
pub fn images() -> Vec<Vec<u8>> {
    let w = 37;
    let h = 26;
    let image = drawn(w, h, 3);
    let rgb = |set: fn(&mut Encoder<&mut Vec<u8>>)| encoded(ColorType::Rgb, image.as_raw(), w, h, set);
    let ink: Vec<u8> = image.pixels().flat_map(|p| [p[0], p[1], p[2], 64]).collect();
    let grey: Vec<u8> = image.pixels().map(|p| p[1]).collect();
    let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let exif = [b"Exif\0\0", tiff.as_slice()].concat();
    let mut seeds = vec![
        rgb(|_| ()),
        rgb(|e| e.set_sampling_factor(SamplingFactor::R_4_4_4)),
        rgb(|e| e.set_sampling_factor(SamplingFactor::F_2_1)),
        rgb(|e| e.set_sampling_factor(SamplingFactor::F_1_2)),
        rgb(|e| e.set_sampling_factor(SamplingFactor::R_4_1_1)),
        rgb(|e| e.set_progressive(true)),
        rgb(|e| e.set_optimized_huffman_tables(true)),
        rgb(|e| e.set_restart_interval(2)),
        encoded(ColorType::Rgb, image.as_raw(), w, h, |e| e.add_app_segment(1, exif.clone()).expect("it fits")),
        encoded(ColorType::Cmyk, &ink, w, h, |_| ()),
        encoded(ColorType::CmykAsYcck, &ink, w, h, |_| ()),
        encoded(ColorType::Luma, &grey, w, h, |_| ()),
    ];
    let restarts = rgb(|e| e.set_restart_interval(1));
    seeds.extend(seeds.clone().iter().map(|jpeg| filled(jpeg, 3, |_| true)));
    for count in [1, 2, 300] {
        seeds.push(filled(&restarts, count, |_| true));
        seeds.push(filled(&restarts, count, |marker| matches!(marker, 0xd0..=0xd7)));
        seeds.push(filled(&restarts, count, |marker| marker == 0xd9));
    }
    use ImageFormat::{Bmp, Gif, Png, Pnm, Tiff, WebP};
    let forms = [image::DynamicImage::from(image.clone()), image::DynamicImage::from(image.clone()).to_luma8().into()];
    for (form, format) in forms.iter().flat_map(|form| [Png, Gif, Bmp, WebP, Tiff, Pnm].map(|f| (form, f))) {
        let mut bytes = Vec::new();
        if form.write_to(&mut Cursor::new(&mut bytes), format).is_ok() {
            seeds.push(bytes);
        }
    }
    let wide = image::DynamicImage::from(image).to_rgba16();
    let mut bytes = Vec::new();
    wide.write_to(&mut Cursor::new(&mut bytes), Png).expect("memory can be written");
    seeds.push(bytes);
    seeds
}

/// Edits of packs: see the target.
pub fn packs() -> Vec<Vec<u8>> {
    let modes = (0..4u8).map(|mode| vec![mode]);
    let edits = (0..4u8).flat_map(|mode| {
        (0..12u8).map(move |i| vec![mode, i, i.wrapping_mul(21), i.wrapping_mul(37), i, 0xff, 1, 0, i])
    });
    modes.chain(edits).chain([(0..97).collect(), vec![3; 41]]).collect()
}

/// Valid sources, each after the byte that selects its kind.
pub fn sources() -> Vec<Vec<u8>> {
    let a = jpeg(9, 8, 1);
    let b = jpeg(8, 9, 2);
    let one = tar(&[("x.JPEG", &a), ("y.JPEG", &b)]);
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let long = format!("{}/a.jpg", "long".repeat(40));
    let record: Vec<u8> = std::iter::once(3).chain((0..3072u32).map(|i| i as u8)).collect();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&synsets()).expect("memory can be written");
    let zlib = zlib.finish().expect("memory can be written");
    let header = [b"MATLAB 5.0 MAT-file".as_slice(), &[b' '; 105], &[0, 1, b'I', b'M']].concat();
    let lengths = [15, zlib.len() as u32].map(u32::to_le_bytes).concat();
    let packed = [header.as_slice(), &lengths, &zlib].concat();
    vec![
        with(0, &tar(&[("n1.tar", &one), ("n2.tar", &one)])),
        with(0, &tar(&[("p/a/1.jpg", &a), ("p/b/2.jpg", &b), (&long, &a)])),
        with(0, &tar(&[("1.jpg", &a), ("1.cls", b"0"), ("2.jpg", &b), ("2.cls", b"1")])),
        with(1, &[&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 4], [7; 32].as_slice()].concat()),
        with(2, &[record.clone(), record].concat()),
        with(3, b"file,label\n1.jpg,ant\n2.jpg,\"bee, or not\"\n"),
        with(3, b"ImageId,PredictionString\n1,n1 2 3\n2,n2 1 1 1\n"),
        with(4, b"1.jpg 0\n2.jpg 1\n"),
        with(4, b"ant\nbee\n"),
        with(5, &[header, synsets()].concat()),
        with(5, &packed),
    ]
}

fn element(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (body.len() as u32).to_le_bytes()].concat();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// The struct of a `meta.mat`.
fn synsets() -> Vec<u8> {
    let array = |class: u32, size: [u32; 2], name: &str, content: &[u8]| {
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        let size = size.map(u32::to_le_bytes).concat();
        element(14, &[element(6, &flags), element(5, &size), element(1, name.as_bytes()), content.to_vec()].concat())
    };
    let mut content =
        [element(5, &16u32.to_le_bytes()), element(1, b"ILSVRC2012_ID\0\0\0WNID\0\0\0\0\0\0\0\0\0\0\0\0")].concat();
    for (id, wnid) in [(1u8, "n2"), (2, "n1")] {
        let units: Vec<u8> = wnid.encode_utf16().flat_map(u16::to_le_bytes).collect();
        content.extend(array(6, [1, 1], "", &element(2, &[id])));
        content.extend(array(4, [1, 2], "", &element(4, &units)));
    }
    array(2, [2, 1], "synsets", &content)
}
