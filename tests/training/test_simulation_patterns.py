"""Checks that each simulated protein pattern lies where its label says, and looks like no other."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import cross_val_predict

from hpa_sdk.labels import Label
from training.simulation import simulate_field
from training.simulation.cells import Phase
from training.simulation.patterns import PATTERNS
from training.simulation.reference_planes import blue_plane, red_plane, yellow_plane
from training.simulation.sampling import values_at
from training.simulation.scene import Scene
from training.simulation.scene_building import build_scene

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

SEEDS = range(6)
SCENE_SIZE = 256
# One scene with all that the patterns need: a spindle, a bridge, and cells that touch.
EVERY_NEED = (Label.CYTOKINETIC_BRIDGE, Label.MITOTIC_SPINDLE, Label.CELL_JUNCTIONS)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [build_scene(EVERY_NEED, SCENE_SIZE, np.random.default_rng(seed)) for seed in SEEDS]


@pytest.fixture(scope="module")
def drawn(scenes: list[Scene]) -> dict[Label, list[Floats]]:
    return {
        label: [draw(scene, np.random.default_rng([seed, label])) for seed, scene in enumerate(scenes)]
        for label, draw in PATTERNS.items()
    }


def bright(image: Floats) -> Bools:
    """Mark the pixels above half the brightness of the brightest 20, which leaves out faint background."""
    return np.asarray(image > 0.5 * np.partition(image.reshape(-1), -20)[-20])


def excess_share(scenes: list[Scene], images: list[Floats], region: Callable[[Scene], Bools]) -> float:
    """Compute the share of the bright pixels' light that falls in a region, over all scenes."""
    within = sum(float(image[bright(image) & region(scene)].sum()) for scene, image in zip(scenes, images, strict=True))
    return within / sum(float(image[bright(image)].sum()) for image in images)


def from_contact(scene: Scene) -> Floats:
    """Measure the distance to the nearest pixel where two cells touch, in pixels of a field of 512."""
    owner = scene.owner
    contact = np.zeros(scene.shape, dtype=np.bool_)
    contact[:, :-1] |= (owner[:, :-1] != owner[:, 1:]) & (owner[:, :-1] >= 0) & (owner[:, 1:] >= 0)
    contact[:-1] |= (owner[:-1] != owner[1:]) & (owner[:-1] >= 0) & (owner[1:] >= 0)
    return np.asarray(cv2.distanceTransform((~contact).astype(np.uint8), cv2.DIST_L2, 5) / scene.scale, np.float32)


def whole_nuclei(scene: Scene) -> list[int]:
    """List the numbers of the interphase cells whose surroundings of the nucleus lie on the canvas."""
    return [
        number
        for number in scene.numbers(Phase.INTERPHASE)
        if np.all(np.abs(scene.cells[number].nucleus.centre / scene.shape[0] - 0.5) < 0.3)
    ]


def blobs(image: Floats, scene: Scene, number: int) -> int:
    """Count the separate bright blobs of one cell."""
    return int(cv2.connectedComponents((bright(image) & (scene.owner == number)).astype(np.uint8))[0]) - 1


# --- patterns -------------------------------------------------------------------------------------------------------


def blurred(image: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 1), dtype=np.float32)


def in_metaphase(scene: Scene) -> Bools:
    return np.isin(scene.owner, scene.numbers(Phase.METAPHASE))


def centrosomes(scene: Scene) -> list[NDArray[np.float64]]:
    dividing = [scene.cells[number] for number in scene.numbers(Phase.METAPHASE)]
    return [cell.centrosome for cell in scene.cells] + [2 * cell.outline.centre - cell.centrosome for cell in dividing]


def between_daughters(scene: Scene) -> list[NDArray[np.float64]]:
    centres = [scene.cells[number].outline.centre for number in scene.numbers(Phase.DAUGHTER)]
    return [0.5 * (one + other) for one, other in zip(centres[::2], centres[1::2], strict=True)]


def near(scene: Scene, points: list[NDArray[np.float64]], reach: float) -> Bools:
    """Mark the pixels within `reach` pixels of a field of 512 of any of some points."""
    rows, columns = np.mgrid[: scene.shape[0], : scene.shape[1]]
    away = [np.hypot(columns - across, rows - down) for across, down in points]
    return np.asarray(np.min(away, axis=0) < reach * scene.scale)


BELONGS: dict[Label, Callable[[Scene], Bools]] = {
    Label.NUCLEOPLASM: lambda scene: (scene.nucleus_depth > 0) & (scene.nucleoli < 0.5),
    Label.NUCLEAR_MEMBRANE: lambda scene: (scene.nucleus_depth > 0) & (scene.nucleus_depth < 5),
    Label.NUCLEOLI: lambda scene: scene.nucleoli > 0,
    Label.NUCLEOLI_FIBRILLAR_CENTER: lambda scene: blurred(scene.nucleoli) > 0.1,
    Label.NUCLEAR_SPECKLES: lambda scene: (scene.nucleus_depth > 0) & (scene.nucleoli < 0.5),
    Label.NUCLEAR_BODIES: lambda scene: (scene.nucleus_depth > 0) & (scene.nucleoli < 0.5),
    Label.ENDOPLASMIC_RETICULUM: lambda scene: in_metaphase(scene) | (scene.cytoplasm & (scene.from_nucleus < 40)),
    Label.GOLGI_APPARATUS: lambda scene: scene.cytoplasm & (scene.from_nucleus < 24),
    Label.PEROXISOMES: lambda scene: scene.cytoplasm,
    Label.ENDOSOMES: lambda scene: scene.cytoplasm,
    Label.LYSOSOMES: lambda scene: in_metaphase(scene) | (scene.cytoplasm & (scene.from_nucleus < 45)),
    Label.INTERMEDIATE_FILAMENTS: lambda scene: scene.cytoplasm & (scene.from_nucleus < 40),
    Label.ACTIN_FILAMENTS: lambda scene: scene.owner >= 0,
    Label.FOCAL_ADHESION_SITES: lambda scene: (scene.depth > 0) & (scene.depth < 28),
    Label.MICROTUBULES: lambda scene: scene.cytoplasm,
    Label.MICROTUBULE_ENDS: lambda scene: scene.cytoplasm,
    Label.CYTOKINETIC_BRIDGE: lambda scene: near(scene, between_daughters(scene), 32),
    Label.MITOTIC_SPINDLE: in_metaphase,
    Label.MICROTUBULE_ORGANIZING_CENTER: lambda scene: near(scene, centrosomes(scene), 8),
    Label.CENTROSOME: lambda scene: near(scene, centrosomes(scene), 11),
    Label.LIPID_DROPLETS: lambda scene: scene.cytoplasm,
    Label.PLASMA_MEMBRANE: lambda scene: (scene.owner >= 0) & (scene.depth < 9),
    Label.CELL_JUNCTIONS: lambda scene: from_contact(scene) < 5,
    Label.MITOCHONDRIA: lambda scene: scene.cytoplasm,
    Label.AGGRESOME: lambda scene: (scene.owner >= 0) & (scene.from_nucleus < 32),
    Label.CYTOSOL: lambda scene: scene.cytoplasm,
    Label.CYTOPLASMIC_BODIES: lambda scene: scene.cytoplasm,
    Label.RODS_AND_RINGS: lambda scene: scene.owner >= 0,
}


@pytest.mark.slow
@pytest.mark.parametrize("label", Label, ids=lambda label: label.name)
def test_a_pattern_lies_in_its_organelle(label: Label, scenes: list[Scene], drawn: dict[Label, list[Floats]]) -> None:
    assert excess_share(scenes, drawn[label], BELONGS[label]) > 0.85


@pytest.mark.parametrize("label", Label, ids=lambda label: label.name)
def test_a_finished_field_shows_its_label_in_green(label: Label) -> None:
    seed = [60, label]
    green = simulate_field([label], np.random.default_rng(seed), size=SCENE_SIZE)[1].astype(np.float32)
    # A field draws its scene first, so the same generator gives the scene that lies behind the planes.
    scene = build_scene([label], SCENE_SIZE, np.random.default_rng(seed))
    region = scene.field(BELONGS[label](scene).astype(np.float32)) > 0
    within, elsewhere = (np.quantile(blurred(green)[part], 0.98) for part in (region, ~region))
    assert within > 1.25 * elsewhere + 3


@pytest.mark.parametrize("label", Label, ids=lambda label: label.name)
def test_a_pattern_is_a_finite_image_that_stands_out(label: Label, drawn: dict[Label, list[Floats]]) -> None:
    for image in drawn[label]:
        assert image.dtype == np.float32
        assert np.all(np.isfinite(image))
        assert image.min() >= 0
        assert 0.3 < np.partition(image.reshape(-1), -20)[-20] < 5
        assert bright(image).mean() < 0.6


@pytest.mark.slow
def test_simple_features_distinguish_the_patterns(scenes: list[Scene], drawn: dict[Label, list[Floats]]) -> None:
    shared = [references(scene) for scene in scenes]
    features = [
        looks(scene, image, others)
        for label in Label
        for scene, image, others in zip(scenes, drawn[label], shared, strict=True)
    ]
    truth = np.repeat(np.arange(len(Label)), len(scenes))
    judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    guesses = cross_val_predict(judge, np.array(features), truth, cv=len(scenes))
    right = np.array([np.mean(guesses[truth == label] == label) for label in Label])
    assert right.mean() > 0.85
    # No pattern drowns in another one, not even those that look alike in real cells.
    assert right.min() >= 1 / 3


def looks(scene: Scene, image: Floats, others: list[Floats]) -> list[float]:
    """Measure where the light lies, how coarse it is, and how it goes with the reference maps."""
    smooth = blurred(image)
    lit = bright(smooth)
    nucleus = scene.nucleus_depth > 0
    regions = (nucleus, nucleus & (scene.nucleus_depth < 5), scene.nucleoli > 0.5, scene.cytoplasm, scene.depth < 8)
    found, _, boxes, _ = cv2.connectedComponentsWithStats(lit.astype(np.uint8))
    areas = boxes[1:, cv2.CC_STAT_AREA]
    spans = boxes[1:, cv2.CC_STAT_WIDTH] * boxes[1:, cv2.CC_STAT_HEIGHT]
    bands = [cv2.GaussianBlur(smooth, (0, 0), sigma) for sigma in (1, 2, 4, 8)]
    return [
        *(float(smooth[region].sum() / smooth.sum()) for region in regions),
        *(float(smooth[lit & region].sum() / smooth[lit].sum()) for region in regions),
        *(float(np.log((fine - coarse).std() / smooth.std())) for fine, coarse in itertools.pairwise([smooth, *bands])),
        *(float(np.corrcoef(smooth[scene.cytoplasm], other[scene.cytoplasm])[0, 1]) for other in others),
        float(np.log(found)),
        float(np.log(np.median(areas))),
        float(np.log(areas.max())),
        float(np.log(np.mean(spans / areas))),
        float(np.mean(scene.from_nucleus[lit])),
        float(np.mean(scene.depth[lit])),
        float(np.mean(lit)),
        float(np.log(np.mean(smooth) / np.mean(smooth[lit]))),
    ]


def references(scene: Scene) -> list[Floats]:
    shared = np.random.default_rng(0)
    return [scene.microtubules.draw(scene.shape), yellow_plane(scene, shared), from_contact(scene)]


# --- single patterns ------------------------------------------------------------------------------------------------


def test_nucleoli_are_dark_in_blue(scenes: list[Scene]) -> None:
    for scene in scenes:
        blue = blue_plane(scene, np.random.default_rng(0))
        assert blue[scene.nucleoli > 0.5].mean() < 0.8 * blue[(scene.nucleus_depth > 3) & (scene.nucleoli == 0)].mean()


@pytest.mark.parametrize(
    ("label", "fewest", "most"),
    [
        (Label.NUCLEOLI, 1, 6),
        (Label.NUCLEAR_SPECKLES, 5, 45),
        (Label.NUCLEAR_BODIES, 1, 9),
        (Label.CENTROSOME, 1, 2),
        (Label.AGGRESOME, 0, 2),
        (Label.PEROXISOMES, 20, 400),
        (Label.CYTOPLASMIC_BODIES, 1, 11),
    ],
    ids=lambda value: value.name if isinstance(value, Label) else None,
)
def test_a_cell_holds_the_usual_number_of_bodies(label: Label, fewest: int, most: int) -> None:
    counts: list[int] = []
    for seed in range(2):
        scene = build_scene([label], 512, np.random.default_rng(seed))
        image = PATTERNS[label](scene, np.random.default_rng(seed))
        counts += [blobs(image, scene, number) for number in whole_nuclei(scene)]
    assert len(counts) > 3
    assert np.quantile(counts, 0.1) >= fewest
    assert np.quantile(counts, 0.9) <= most


def one_sidedness(scene: Scene, image: Floats, number: int) -> float:
    """Measure how far a cell's bright light points one way from the nucleus: 0 all round, 1 one direction."""
    lit = bright(image) & (scene.owner == number)
    rows, columns = np.nonzero(lit)
    ways = np.stack([columns, rows], axis=-1) - scene.cells[number].nucleus.centre
    ways /= np.hypot(*ways.T)[:, None] + 1e-9
    return float(np.hypot(*np.average(ways, axis=0, weights=image[lit]))) if len(rows) else np.nan


def test_golgi_is_on_one_side_nuclear_membrane_all_round(scenes: list[Scene], drawn: dict[Label, list[Floats]]) -> None:
    means = {}
    for label in (Label.GOLGI_APPARATUS, Label.NUCLEAR_MEMBRANE):
        sides = [
            one_sidedness(scene, image, number)
            for scene, image in zip(scenes, drawn[label], strict=True)
            for number in whole_nuclei(scene)
        ]
        means[label] = np.nanmedian(sides)
    assert means[Label.GOLGI_APPARATUS] > 0.75
    assert means[Label.NUCLEAR_MEMBRANE] < 0.4


def coherence(image: Floats) -> float:
    """Measure how parallel the lines of an image run within a cell's reach: 0 every way, 1 one way."""
    across, down = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
    same, cross = (cv2.GaussianBlur(part, (0, 0), 12) for part in (across**2 - down**2, 2 * across * down))
    strength = cv2.GaussianBlur(across**2 + down**2, (0, 0), 12)
    return float(np.average(np.hypot(same, cross) / (strength + 1e-6), weights=strength))


def test_actin_runs_straighter_than_intermediate_filaments(drawn: dict[Label, list[Floats]]) -> None:
    straight = np.mean([coherence(image) for image in drawn[Label.ACTIN_FILAMENTS]])
    assert straight > 0.45
    assert straight > 1.5 * np.mean([coherence(image) for image in drawn[Label.INTERMEDIATE_FILAMENTS]])


@pytest.mark.parametrize(
    ("label", "plane"), [(Label.MICROTUBULES, red_plane), (Label.ENDOPLASMIC_RETICULUM, yellow_plane)]
)
def test_a_pattern_goes_with_its_own_reference_plane(
    label: Label, plane: Callable[[Scene, np.random.Generator], Floats], scenes: list[Scene]
) -> None:
    def fit(other: Label, scene: Scene) -> float:
        image = PATTERNS[other](scene, np.random.default_rng(7))
        reference = plane(scene, np.random.default_rng(8))
        inside = scene.cytoplasm
        # Detail only: any two stains of the cytoplasm go together in the large.
        return float(
            np.corrcoef((image - cv2.blur(image, (9, 9)))[inside], (reference - cv2.blur(reference, (9, 9)))[inside])[
                0, 1
            ]
        )

    for scene in scenes:
        assert fit(label, scene) > 0.6
        assert fit(Label.MITOCHONDRIA, scene) < 0.4


def test_focal_adhesions_point_outwards(scenes: list[Scene], drawn: dict[Label, list[Floats]]) -> None:
    outward = []
    for scene, image in zip(scenes, drawn[Label.FOCAL_ADHESION_SITES], strict=True):
        across, down = cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1)
        along = (across * scene.inward[..., 0] + down * scene.inward[..., 1]) ** 2
        total = across**2 + down**2
        edge = (scene.depth > 3) & (scene.depth < 25)
        outward.append(float(along[edge].sum() / total[edge].sum()))
    # Brightness changes across a streak, not along it: the outward part of the slopes is the smaller one.
    assert np.mean(outward) < 0.42


def test_bridges_join_daughters_in_green_and_red_and_hold_no_dna(
    scenes: list[Scene], drawn: dict[Label, list[Floats]]
) -> None:
    for scene, green in zip(scenes, drawn[Label.CYTOKINETIC_BRIDGE], strict=True):
        middles = between_daughters(scene)
        assert middles
        place = near(scene, middles, 8)
        assert green[place].max() > 3 * np.quantile(green, 0.95)
        assert red_plane(scene, np.random.default_rng(0))[near(scene, middles, 14)].max() > 0.4
        assert blue_plane(scene, np.random.default_rng(0))[place].max() < 0.1


def test_spindles_lie_across_the_condensed_chromosomes(scenes: list[Scene], drawn: dict[Label, list[Floats]]) -> None:
    for scene, green in zip(scenes, drawn[Label.MITOTIC_SPINDLE], strict=True):
        numbers = scene.numbers(Phase.METAPHASE)
        assert numbers
        planes = {"blue": blue_plane(scene, np.random.default_rng(0)), "green": green}
        red = red_plane(scene, np.random.default_rng(0))
        for number in numbers:
            cell = scene.cells[number]
            direction = np.array([np.cos(cell.axis), np.sin(cell.axis)])
            normal = np.array([-direction[1], direction[0]])
            stretch = {}
            for name, plane in planes.items():
                rows, columns = np.nonzero((plane > 0.3 * plane.max()) & (scene.owner == number))
                away = np.stack([columns, rows], axis=-1) - cell.outline.centre
                stretch[name] = np.std(away @ direction) / np.std(away @ normal)
            assert stretch["green"] > 1.3
            assert stretch["blue"] < 0.7
            assert values_at(red, cell.centrosome[None]).item() > 0.3


def test_plasma_membrane_lines_free_edges_and_junctions_do_not(
    scenes: list[Scene], drawn: dict[Label, list[Floats]]
) -> None:
    for scene, membrane, junctions in zip(
        scenes, drawn[Label.PLASMA_MEMBRANE], drawn[Label.CELL_JUNCTIONS], strict=True
    ):
        free_edge = (scene.depth > 0) & (scene.depth < 4) & (from_contact(scene) > 12)
        assert membrane[free_edge].mean() > 0.3
        assert junctions[free_edge].mean() < 0.15


@pytest.mark.parametrize("label", [Label.CYTOKINETIC_BRIDGE, Label.MITOTIC_SPINDLE, Label.CELL_JUNCTIONS])
def test_a_label_brings_the_cells_that_it_needs(label: Label) -> None:
    for seed in range(10):
        scene = build_scene([label], 64, np.random.default_rng([50, seed]))
        assert len(scene.numbers(Phase.DAUGHTER)) % 2 == 0
        met = {
            Label.CYTOKINETIC_BRIDGE: len(scene.numbers(Phase.DAUGHTER)) >= 2,
            Label.MITOTIC_SPINDLE: len(scene.numbers(Phase.METAPHASE)) >= 1,
            Label.CELL_JUNCTIONS: bool((from_contact(scene) < 1).any()),
        }
        assert met[label]
