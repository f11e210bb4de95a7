"""A product with one model: the example of docs/your-own-product.md."""
