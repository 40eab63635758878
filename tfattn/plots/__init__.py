"""Every picture that is shown. Each function returns a matplotlib figure.

All figures have one style: images are at least 96 pixels wide on the screen and are not
smoothed, so that each pixel can be seen; weights are drawn in colors that color-blind
readers can tell apart, beside the image and never over it.
"""

from tfattn.plots.charts import curves as curves
from tfattn.plots.charts import diagram as diagram
from tfattn.plots.charts import heatmaps as heatmaps
from tfattn.plots.images import completion_figure as completion_figure
from tfattn.plots.images import image_grid as image_grid
from tfattn.plots.weights import attention_figure as attention_figure
from tfattn.plots.weights import weight_figure as weight_figure
