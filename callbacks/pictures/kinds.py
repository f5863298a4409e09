"""All kinds of pictures."""

from callbacks.pictures.base import Picture
from callbacks.pictures.calibration import Calibration
from callbacks.pictures.code_grid import CodeGrid
from callbacks.pictures.codes import Codes
from callbacks.pictures.confusion import Confusion
from callbacks.pictures.curve import Curve
from callbacks.pictures.depth import DepthPlot
from callbacks.pictures.feature_maps import FeatureMaps
from callbacks.pictures.filters import Filters
from callbacks.pictures.forecast import Forecast
from callbacks.pictures.gradient_curve import GradientCurve
from callbacks.pictures.hardest import Hardest
from callbacks.pictures.importance import Importance
from callbacks.pictures.masks import Masks
from callbacks.pictures.plane import Plane
from callbacks.pictures.plane_units import PlaneUnits
from callbacks.pictures.predicted import Predicted
from callbacks.pictures.projector import Projector
from callbacks.pictures.reconstruction import Reconstruction
from callbacks.pictures.robustness import Robustness
from callbacks.pictures.roc import Roc
from callbacks.pictures.samples import Samples, Texts
from callbacks.pictures.time_delta import TimeDelta
from callbacks.pictures.tokens import Tokens
from callbacks.pictures.unit_space import UnitSpace

# Drawn in every run that they suit, in this order; DepthPlot must be requested.
EVERY_RUN: tuple[type[Picture], ...] = (
    Plane,
    PlaneUnits,
    UnitSpace,
    Curve,
    Predicted,
    Confusion,
    Roc,
    Calibration,
    Importance,
    Forecast,
    TimeDelta,
    GradientCurve,
    Filters,
    FeatureMaps,
    Hardest,
    Robustness,
    Reconstruction,
    Codes,
    CodeGrid,
    Projector,
    Masks,
    Tokens,
    Samples,
    Texts,
)
__all__ = [*(kind.__name__ for kind in EVERY_RUN), "DepthPlot"]
