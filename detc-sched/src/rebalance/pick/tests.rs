use super::{CLASSES_MAX, Picker};
use crate::rebalance::dense::Dense;
use crate::rng::Rng;
use crate::testing::{Size, running_model};

fn picker() -> (Dense, Picker) {
    let (model, _) = running_model(1, Size { machines: 20, groups: 8, instances: 300, devices: 0 });
    let dense = Dense::new(&model);
    let picker = Picker::new(&dense);
    (dense, picker)
}

#[test]
fn each_instance_is_drawn_with_its_class() {
    let (dense, picker) = picker();
    let mut rng = Rng::new(1, 1);
    let mut drawn = vec![0; dense.order.len()];
    for _ in 0..100_000 {
        let (instance, class) = picker.pick(&mut rng);
        assert!(class < picker.classes.len().min(CLASSES_MAX));
        let rank = picker.rank[instance as usize] - picker.classes[class].begin;
        assert!(rank < picker.classes[class].count);
        drawn[instance as usize] += 1;
    }
    assert!(dense.movable.iter().all(|instance| drawn[*instance as usize] > 100), "{drawn:?}");
}

#[test]
fn what_is_moved_more_seldom_is_tried_more_often() {
    let (_, mut picker) = picker();
    for _ in 0..20 {
        for class in 0..picker.classes.len() {
            picker.note(class, class > 0);
        }
        picker.adapt();
    }
    let entries = |class: u8| picker.draws.iter().filter(|entry| **entry == class).count();
    assert_eq!(picker.draws.len(), super::DRAWS);
    let most = (1..picker.classes.len() as u8).map(entries).max().expect("there are several");
    assert!(entries(0) > 10 * most, "{} and {most}", entries(0));
    assert!((0..picker.classes.len() as u8).all(|class| entries(class) > 0), "none is forgotten");
}

#[test]
fn a_partner_is_another_and_most_are_near_in_size() {
    let (dense, picker) = picker();
    let mut rng = Rng::new(2, 1);
    let (mut near, mut all) = (0, 0);
    for _ in 0..10_000 {
        let (instance, _) = picker.pick(&mut rng);
        let Some(partner) = picker.partner(instance, &mut rng) else { continue };
        assert_ne!(partner, instance);
        assert!(dense.is_movable(partner));
        let ranks = [instance, partner].map(|id| picker.rank[id as usize]);
        all += 1;
        near += u32::from(ranks[0].abs_diff(ranks[1]) <= 32);
    }
    assert!(all > 5_000 && near * 2 > all, "{near} of {all} are near");
}
