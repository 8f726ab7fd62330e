"""EuroSAT: land use, seen by the Sentinel-2 satellites."""

from dassl.data.datasets import DATASET_REGISTRY

from imo.datasets.base import Sizes, SplitDataset, Torchvision, drive, folder_split


@DATASET_REGISTRY.register()
class EuroSAT(SplitDataset):
    """Helber et al., "EuroSAT: A novel dataset and deep learning benchmark for land use and land cover classification",
    2019, https://arxiv.org/abs/1709.00029."""

    dataset_dir = "eurosat"
    image_dir = "2750"
    split_file = "split_zhou_EuroSAT.json"
    fallback = folder_split
    renamed = {
        "AnnualCrop": "Annual Crop Land",
        "HerbaceousVegetation": "Herbaceous Vegetation Land",
        "Highway": "Highway or Road",
        "Industrial": "Industrial Buildings",
        "Pasture": "Pasture Land",
        "PermanentCrop": "Permanent Crop Land",
        "Residential": "Residential Buildings",
        "SeaLake": "Sea or Lake",
    }
    templates = ("a centered satellite photo of {}.",)
    sizes = Sizes(10, 13500, 5400, 8100)
    sources = {
        "2750/": "https://zenodo.org/records/7711810 (EuroSAT_RGB.zip, its folder renamed; or EuroSAT.zip)",
        "split_zhou_EuroSAT.json": drive("1Ip7yaCWFi0eaOFUGga0lUdVi_DDQth1o"),
    }
    mirrors = {"2750": "EuroSAT_RGB"}
    torchvision = Torchvision("EuroSAT", {"eurosat/2750": "2750"})
