"""Lines can be told apart, in colour and without."""

from campaign.analysis.styles import HUES, MARKERS, line_styles

MANY = [("none", None)] + [(f"m{k:02d}", None) for k in range(11)]
TS = [("weight_scaling", 2.0**k) for k in range(0, 100, 20)]


def luminance(color: str) -> float:
    red, green, blue = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_line_has_a_look_of_its_own() -> None:
    styles = line_styles([*MANY, *TS, ("saf", None)])
    assert len(set(styles.values())) == len(styles) == 18


def test_without_colour_marker_and_dash_tell_a_dozen_methods_and_five_t_apart() -> None:
    methods = [style[1:] for style in line_styles(MANY).values()]
    assert len(set(methods)) == len(MANY)
    assert len({style.dash for style in line_styles(TS).values()}) == 5
    assert len(set(MARKERS)) == len(MARKERS) > len(HUES)


def test_the_baseline_is_first_and_black_and_t_goes_up_and_darker() -> None:
    styles = line_styles([*reversed(TS), ("saf", None), ("none", None)])
    assert list(styles) == [("none", None), ("saf", None), *TS]
    assert styles["none", None].color == "#000000"
    shades = [luminance(styles[key].color) for key in TS]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] < 0.85


def test_a_single_t_has_the_hue_itself_and_order_does_not_matter() -> None:
    some = [("none", None), ("b", 2.0), ("a", None)]
    assert line_styles(some) == line_styles(reversed(some))
    assert line_styles(some)["b", 2.0].color == HUES[1]
