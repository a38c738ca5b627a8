"""What a segmentor reads of a pair: the fused image, the pair itself, or several views."""

from .reading import READINGS, Inputs, Reading
from .stem import extend_stem, inflate, silence
from .views import ViewsBackbone

__all__ = ['READINGS', 'Inputs', 'Reading', 'ViewsBackbone', 'extend_stem', 'inflate', 'silence']
