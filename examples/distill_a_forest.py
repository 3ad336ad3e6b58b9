"""
A forest out, a linear model in
===============================

A random forest of 200 trees is a good teacher and a heavy model. Its probabilities of rows it was
trained on are near one-hot, so the student is given those of forests that did not see the row
(``cv=5``). Its embeddings are the leaves that a row falls into.

The report says what the exchange cost and what it gained: accuracy and calibration on one side,
size and speed on the other.
"""

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from lelp_sklearn import DistilledClassifier, LELPStudentClassifier, SubclassDisplay

X, digit = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X / 16, digit % 2, random_state=0)
model = DistilledClassifier(
    RandomForestClassifier(200, random_state=0),
    LELPStudentClassifier(lr=0.03, random_state=0),
    cv=5,
).fit(X, y)
print(model.report(X_test, y_test))

# %%
# What the projector made of the two classes, on the forest's leaves:
SubclassDisplay.from_projector(model.student_.projector_, model.teacher_.transform(X), y)
