"""`{% load product %}`: words of the product in texts that are not its own (`accounts.customers.product`)."""

from django import template

from accounts.customers import product

register = template.Library()

register.simple_tag(product.sales_team)
