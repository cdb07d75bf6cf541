use super::*;
use image::{GrayImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use std::io::Cursor;

fn tensor(shape: &[usize]) -> TensorInfo {
    TensorInfo { shape: shape.to_vec(), scale: 12 }
}

fn png(save: impl FnOnce(&mut Cursor<Vec<u8>>)) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    save(&mut file);
    file.into_inner()
}

fn one(name: &str, bytes: &[u8]) -> Result<Values> {
    let mut inputs = Vec::new();
    file::read(name, bytes, &mut inputs)?;
    assert_eq!(inputs.len(), 1);
    Ok(inputs.remove(0).values)
}

fn prepared(values: &Values, shape: &[usize], rule: &Preprocess) -> Result<Vec<f32>> {
    let Values::Picture { pixels, shape: given, layout } = values else { panic!("no picture") };
    picture(&tensor(shape), Some(rule), pixels, *given, *layout).map(|x| x.to_vec())
}

#[test]
fn planes_of_a_colour_picture_and_of_a_grey_one() {
    let rule = Preprocess { order: athos::preprocess::ChannelOrder::Rgb, ..Default::default() };
    let colour = RgbImage::from_fn(2, 1, |x, _| Rgb([x as u8, 10 + x as u8, 20 + x as u8]));
    let bytes = png(|to| colour.write_to(to, ImageFormat::Png).unwrap());
    let got = prepared(&one("a.png", &bytes).unwrap(), &[1, 3, 1, 2], &rule).unwrap();
    assert_eq!(got, [0., 1., 10., 11., 20., 21.]);
    let grey = GrayImage::from_fn(2, 1, |x, _| image::Luma([5 + x as u8]));
    let bytes = png(|to| grey.write_to(to, ImageFormat::Png).unwrap());
    let grey = one("A.PNG", &bytes).unwrap();
    let got = prepared(&grey, &[1, 3, 1, 2], &rule).unwrap();
    assert_eq!(got, [5., 6., 5., 6., 5., 6.]);
    for (shape, words) in [([1, 3, 2, 1], "1 x 2"), ([1, 3, 1, 3], "1 x 3")] {
        let failure = prepared(&grey, &shape, &rule).unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
    assert!(prepared(&grey, &[1, 6], &rule).unwrap_err().message.contains("1x6"));
}

#[test]
fn a_crop_without_a_size_takes_the_middle() {
    let rule = Preprocess { crop: Some(1), ..Default::default() };
    let grey = GrayImage::from_fn(3, 5, |x, y| image::Luma([(10 * y + x) as u8]));
    let grey = one("a.png", &png(|to| grey.write_to(to, ImageFormat::Png).unwrap())).unwrap();
    assert_eq!(prepared(&grey, &[1, 1, 1, 1], &rule).unwrap(), [21.]);
    let larger = Preprocess { crop: Some(4), ..rule.clone() };
    let failure = prepared(&grey, &[1, 1, 4, 4], &larger).unwrap_err();
    assert!(failure.message.contains("at least 4 x 4"), "{failure}");
    let exact = Preprocess { size: vec![3, 3], ..rule };
    assert!(prepared(&grey, &[1, 1, 1, 1], &exact).is_err());
}

#[test]
fn alpha_only_if_it_says_nothing() {
    let file = |alpha| {
        let image = RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, alpha]));
        png(|to| image.write_to(to, ImageFormat::Png).unwrap())
    };
    assert!(matches!(one("a.png", &file(255)), Ok(Values::Picture { shape: [3, 1, 1], .. })));
    assert!(one("a.png", &file(254)).is_err_and(|e| e.message.contains("transparent")));
}

#[test]
fn rows_are_numbers_or_pixels() {
    let rule = Preprocess { kind: InputKind::Tensor, mean: vec![1.0], ..Default::default() };
    let got = row(&tensor(&[1, 2]), Some(&rule), &[1.5, 3.0]).unwrap();
    assert_eq!(*got, [0.5, 2.0]);
    let got = row(&tensor(&[1, 2]), None, &[1.5, 3.0]).unwrap();
    assert_eq!(*got, [1.5, 3.0]);
    let rule = Preprocess { scale: 0.5, ..Default::default() };
    let pixels = tensor(&[1, 1, 1, 2]);
    assert_eq!(*row(&pixels, Some(&rule), &[4.0, 6.0]).unwrap(), [2.0, 3.0]);
    for bad in [[4.0, 256.0], [-1.0, 0.0], [0.5, 0.0], [f64::NAN, 0.0]] {
        assert!(row(&pixels, Some(&rule), &bad).is_err(), "{bad:?}");
    }
    assert!(row(&pixels, Some(&rule), &[1.0; 3]).is_err());
}

#[test]
fn embedded_sets_have_labels() {
    for model in &crate::embedded::EMBEDDED {
        let inputs = read(&[model.name.to_string()]).unwrap();
        assert_eq!(inputs.len(), 10);
        assert!(inputs.iter().all(|input| input.label.is_some()));
    }
}
