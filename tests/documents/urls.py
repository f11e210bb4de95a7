from django.urls import path

from tests.documents import views

urlpatterns = [path("documents/", views.documents, name="documents")]
