from setuptools import setup
setup(name="clip-imo", version="0.1.0", packages=["imo","imo.trainers","imo.datasets"], package_dir={"imo.trainers":"trainers","imo.datasets":"datasets"})
