use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn products_are_those_of_each_pixel(pixels in prop::collection::vec(any::<[u8; 3]>(), 0..100)) {
        let mut plain = [0u64; 6];
        for [r, g, b] in pixels.iter().map(|pixel| pixel.map(u64::from)) {
            plain.iter_mut().zip([r * r, r * g, r * b, g * g, g * b, b * b]).for_each(|(sum, value)| *sum += value);
        }
        prop_assert_eq!(products(pixels.as_flattened()), plain);
        prop_assert_eq!(products_scalar(pixels.as_flattened()), plain);
    }

    #[test]
    fn eigenvectors_diagonalise(m in prop::array::uniform6(-100.0..100.0f64)) {
        let [a, b, c, d, e, f] = m;
        // L * L^T is a covariance.
        let l = [[a, 0.0, 0.0], [b, c, 0.0], [d, e, f]];
        let mut s = [[0.0; 3]; 3];
        for i in 0..3 {
            for j in 0..3 {
                s[i][j] = (0..3).map(|k| l[i][k] * l[j][k]).sum();
            }
        }
        let (values, vectors) = symmetric_eigen(s);
        let scale = 1.0 + values[0];
        prop_assert!(values[0] >= values[1] && values[1] >= values[2] && values[2] >= 0.0);
        for vector in vectors {
            let largest = vector.into_iter().fold(0.0, |m: f64, x| if x.abs() > m.abs() { x } else { m });
            prop_assert!(largest > 0.0, "the largest part of {vector:?} is negative");
        }
        for k in 0..3 {
            for i in 0..3 {
                let product: f64 = (0..3).map(|j| s[i][j] * vectors[k][j]).sum();
                prop_assert!((product - values[k] * vectors[k][i]).abs() < 1e-9 * scale);
                let dot: f64 = (0..3).map(|j| vectors[k][j] * vectors[i][j]).sum();
                prop_assert!((dot - f64::from(u8::from(i == k))).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn sums_are_those_of_a_plain_computation(
        images in prop::collection::vec(prop::collection::vec(any::<u8>(), 27), 1..5)
    ) {
        let mut sums = Sums::new(3);
        for image in &images {
            sums.add(image, &products(image));
        }
        let statistics = sums.finish(3);
        let pixels: Vec<[f64; 3]> = images
            .iter()
            .flat_map(|p| p.chunks_exact(3).map(|c| [c[0], c[1], c[2]].map(f64::from)))
            .collect();
        let n = pixels.len() as f64;
        let mean = |i: usize| pixels.iter().map(|p| p[i]).sum::<f64>() / n;
        for i in 0..3 {
            prop_assert!((f64::from(statistics.mean_rgb[i]) - mean(i)).abs() < 1e-4);
            for j in 0..3 {
                let plain = pixels.iter().map(|p| (p[i] - mean(i)) * (p[j] - mean(j))).sum::<f64>() / n;
                prop_assert!((statistics.covariance[i][j] - plain).abs() < 1e-7 * (1.0 + plain.abs()));
            }
        }
        for (place, &value) in statistics.mean_image.iter().enumerate() {
            let plain = images.iter().map(|p| f64::from(p[place])).sum::<f64>() / images.len() as f64;
            prop_assert!((f64::from(value) - plain).abs() < 1e-4);
        }
    }
}

#[test]
fn the_largest_products_fit() {
    let white = vec![255; 3 * (MAX_PIXELS_PER_SUM + 5)];
    assert_eq!(products(&white), [255 * 255 * (MAX_PIXELS_PER_SUM as u64 + 5); 6]);
}

/// Statistics like those of photographs.
pub(crate) fn example() -> Statistics {
    let mut sums = Sums::new(8);
    let image: Vec<u8> = (0..192u32).map(|i| ((i / 3 * 37 % 200) + i * i * 13 % 56) as u8).collect();
    sums.add(&image, &products(&image));
    sums.finish(8)
}

#[test]
fn the_largest_sums_fit() {
    let mut sums = Sums::new(1);
    let pixel = [255, 1, 254];
    for _ in 0..1000 {
        sums.add(&pixel, &products(&pixel));
    }
    assert_eq!(sums.position_sums(), [255_000, 1000, 254_000]);
    assert_eq!(products(&[255; 3 << 16]), [65_025 << 16; 6]);
}

#[test]
fn grey_images_vary_along_grey_only() {
    let mut sums = Sums::new(2);
    let image = [0, 0, 0, 80, 80, 80, 160, 160, 160, 240, 240, 240];
    sums.add(&image, &products(&image));
    let statistics = sums.finish(2);
    assert!((statistics.eigenvalues[0] - 3.0 * 8000.0).abs() < 0.01, "{:?}", statistics.eigenvalues);
    assert!(statistics.eigenvalues[1].abs() < 1e-3);
    assert!(statistics.eigenvectors[0].iter().all(|v| (v - 3f32.sqrt().recip()).abs() < 1e-6));
}
