//! Medians and geometric means.

/// The middle value; of an even number, the mean of the middle two.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut v = values.to_vec();
    v.sort_by(f64::total_cmp);
    match (v.len(), v.len() / 2) {
        (0, _) => None,
        (n, m) if n % 2 == 1 => Some(v[m]),
        (_, m) => Some(f64::midpoint(v[m - 1], v[m])),
    }
}

/// For ratios: twice as slow and twice as fast cancel out.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| *v <= 0.0) {
        return None;
    }
    Some((values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// Slope of the line through points with the least squares; none where all are at one place.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (both, wide) = points
        .iter()
        .fold((0.0, 0.0), |(both, wide), p| (both + (p.0 - x) * (p.1 - y), wide + (p.0 - x) * (p.0 - x)));
    (wide > 0.0).then(|| both / wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_in_any_order() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
        assert_eq!(median(&[5.0]), Some(5.0));
    }

    #[test]
    fn one_disturbed_reading_of_three_does_not_move_the_median() {
        assert_eq!(median(&[1.0, 100.0, 1.1]), Some(1.1));
    }

    #[test]
    fn slope_is_that_of_the_line_and_of_noise_around_it() {
        assert_eq!(slope(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]), Some(2.0));
        let s = slope(&[(0.0, 0.0), (1.0, 2.0), (2.0, 0.0), (3.0, 2.0)]).expect("four places");
        assert!((s - 0.4).abs() < 1e-12, "{s}");
        assert_eq!(slope(&[(1.0, 5.0), (1.0, 7.0)]), None);
        assert_eq!(slope(&[]), None);
    }

    #[test]
    fn nothing_has_no_median_and_no_mean() {
        assert_eq!(median(&[]), None);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn geometric_mean_of_double_and_half_is_one() {
        let m = geometric_mean(&[2.0, 0.5]).expect("two values");
        assert!((m - 1.0).abs() < 1e-12, "{m}");
        let m = geometric_mean(&[1.0, 2.0, 4.0]).expect("three values");
        assert!((m - 2.0).abs() < 1e-12, "{m}");
    }

    #[test]
    fn geometric_mean_refuses_what_has_no_logarithm() {
        assert_eq!(geometric_mean(&[1.0, 0.0]), None);
        assert_eq!(geometric_mean(&[1.0, -2.0]), None);
    }
}
